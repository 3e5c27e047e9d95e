"""What many models need, and what they cost."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREY, INK, ORANGE, SERIES, finished, new_figure, styled


@styled
def hit_ratios(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    wanted: float,
    title: str,
    source: str,
) -> Figure:
    """Show the hit ratio by the share of the models that fit: lines by Che's approximation, points by other means.

    `curves` and `points` have, for each name, shares of the models that fit and hit ratios, all 0 to 1. The hit ratio
    `wanted` is marked.
    """
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=3.8)
    for index, (name, (shares, ratios)) in enumerate(curves.items()):
        axis.plot(shares, ratios, color=SERIES[index % len(SERIES)], linewidth=2, label=name)
    for index, (name, (shares, ratios)) in enumerate(points.items()):
        axis.plot(shares, ratios, "osD^"[index % 4], color=INK, markersize=6, markerfacecolor="white", label=name)
    axis.axhline(wanted, color=GREY, linestyle="--", linewidth=1.5, label=f"wanted: {wanted:.0%}")
    axis.set_xlim(0, 1.01)
    axis.set_ylim(0, 1.03)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_xlabel("share of the models that fit into memory")
    axis.set_ylabel("hit ratio")
    axis.grid()
    axis.legend(loc="lower right", fontsize=9, frameon=True, edgecolor="white")
    measured = "; ".join(
        f"{name}: "
        + ", ".join(f"{ratio:.0%} of the calls where {share:.0%} of the models fit" for share, ratio in each)
        for name, each in ((name, list(zip(*pairs, strict=True))) for name, pairs in points.items())
    )
    return finished(figure, title, source, seen=f"Hit ratios that rise with the share of the models; {measured}")


@styled
def costs(
    models: Sequence[int],
    separate: Mapping[str, Sequence[float]],
    shared: Mapping[str, Sequence[float]],
    *,
    title: str,
    source: str,
) -> Figure:
    """Show what separate endpoints and a shared one cost, by the number of models; both axes logarithmic.

    `separate` has dollars an hour for each way to provide endpoints, `shared` for each kind of models; both have a
    number for each of `models`, which ascend.
    """
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=3.6)
    for curves, color in ((separate, ORANGE), (shared, BLUE)):
        for index, (name, dollars) in enumerate(curves.items()):
            axis.plot(models, dollars, ("-", "--", ":")[index % 3], color=color, linewidth=2, label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(min(models), max(models))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.yaxis.set_major_formatter(lambda value, _: _dollars(value))
    axis.set_xlabel("number of models (logarithmic)")
    axis.set_ylabel("dollars an hour (logarithmic)")
    axis.grid()
    axis.legend(loc="upper left", fontsize=9)
    said = "; ".join(f"{name}: {_dollars(dollars[-1])}" for name, dollars in {**separate, **shared}.items())
    return finished(figure, title, source, seen=f"Dollars an hour for {models[-1]:,} models: {said}")


def _dollars(value: float) -> str:
    return f"${value:,.0f}" if value >= 1 else f"${value:.2g}"

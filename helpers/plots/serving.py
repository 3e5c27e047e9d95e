"""What calls to an endpoint take, how many find their model loaded, and what many models cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SERIES,
    finished,
    new_figure,
    set_round_ticks,
    show_percent,
    styled,
)

STATES = {"cold": ORANGE, "on disk": SERIES[4], "warm": BLUE}


@styled
def latencies(timings: Mapping[str, Mapping[str, Sequence[float]]], *, title: str, source: str) -> Figure:
    """Compare calls by the state of their model.

    `timings` has, for each model, lists of seconds by state, "cold", "on disk" or "warm"; a list may be empty.
    """
    times = [second for states in timings.values() for seconds in states.values() for second in seconds]
    bands = {model: [state for state in STATES if len(states.get(state, ()))] for model, states in timings.items()}
    places = {model: -1.2 * index - sum(map(len, list(bands.values())[:index])) for index, model in enumerate(bands)}
    rows = sum(map(len, bands.values())) + 0.2 * len(bands)
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=0.9 + 0.45 * rows)
    said = []
    for model, states in bands.items():
        for index, state in enumerate(states):
            middle = float(np.median(timings[model][state]))
            _draw_calls(axis, np.asarray(timings[model][state]), places[model] - index, state, middle)
            said.append(f"{model}, {state} {_readable(middle)}")
    axis.set_yticks([places[model] - (len(states) - 1) / 2 for model, states in bands.items()], list(timings))
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    low, high = min(times) / 1.4, max(times) * max(3.0, (max(times) / min(times)) ** 0.6)  # room for the text
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    set_round_ticks(axis.xaxis, _readable)
    axis.set_xlabel("time of one call, as the client sees it (logarithmic)")
    axis.grid(axis="x")
    return finished(figure, title, source, seen=f"Median time of a call: {'; '.join(said)}")


@styled
def traffic_over_time(
    starts: np.ndarray, seconds: np.ndarray, hits: np.ndarray, *, change: float, title: str, source: str
) -> Figure:
    """Show each call by its time and duration, above the share of the calls that found their model loaded.

    `starts` and `seconds` are float (M,); `hits`, bool (M,), tells whose model was loaded. The traffic changed after
    `change` seconds.
    """
    figure, ((upper,), (lower,)) = new_figure(2, 1, width=9.0, height=4.4)
    for chosen, name, color in ((hits, "hits", BLUE), (~hits, "misses, which load their model", ORANGE)):
        label = f"{name}: {chosen.sum():,}"
        upper.plot(starts[chosen], seconds[chosen], "o", color=color, markersize=3, alpha=0.6, label=label)
    upper.set_yscale("log")
    set_round_ticks(upper.yaxis, _readable)
    upper.set_ylabel("time of a call")
    upper.legend(loc="upper left", ncols=2, bbox_to_anchor=(0, 1.22))
    window = max(1, len(hits) // 20)
    rolling = np.convolve(hits, np.ones(window) / window, mode="valid")
    lower.plot(starts[window - 1 :], rolling, color=BLUE, linewidth=2)
    lower.set_ylim(0, 1.05)
    show_percent(lower.yaxis)
    lower.set_ylabel(f"hits of the\nlast {window} calls")
    lower.set_xlabel("seconds since the traffic began")
    for axis in (upper, lower):
        axis.set_xlim(0, 1.01 * starts.max())
        axis.axvline(change, color=GREY, linestyle="--", linewidth=1.5)
        axis.grid(axis="y")
    parts = {"before": hits[starts <= change], "after": hits[starts > change]}
    shares = ", ".join(f"{part.mean():.0%} {when}" for when, part in parts.items() if len(part))
    return finished(figure, title, source, seen=f"Time of calls and share of hits over time: hits {shares} the change")


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
    show_percent(axis.xaxis)
    show_percent(axis.yaxis)
    axis.set_xlabel("share of the models that fit into memory")
    axis.set_ylabel("hit ratio")
    axis.grid()
    axis.legend(loc="lower right", frameon=True, edgecolor="white")
    measured = "; ".join(
        f"{name}: "
        + ", ".join(f"{ratio:.0%} of the calls where {share:.0%} of the models fit" for share, ratio in each)
        for name, each in ((name, zip(*pairs, strict=True)) for name, pairs in points.items())
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
    axis.legend(loc="upper left")
    said = "; ".join(f"{name}: {_dollars(dollars[-1])}" for name, dollars in {**separate, **shared}.items())
    return finished(figure, title, source, seen=f"Dollars an hour for {models[-1]:,} models: {said}")


def _draw_calls(axis: Axes, seconds: np.ndarray, place: float, state: str, middle: float) -> None:
    """Draw calls of one state as points with their median, and say it beside them."""
    color = STATES[state]
    if len(seconds) == 1:
        axis.plot(seconds, [place], "o", color=color, markersize=9)
    else:
        # A fixed zigzag keeps points of equal time apart without a random figure.
        zigzag = 0.14 * (np.arange(len(seconds)) % 3 - 1)
        axis.plot(seconds, place + zigzag, "o", color=color, alpha=0.45, markersize=5, markeredgewidth=0)
        axis.vlines(middle, place - 0.32, place + 0.32, color=color, linewidth=3)
    count = f"{len(seconds)} calls, median " if len(seconds) > 1 else ""
    said = f"{state}: {count}{_readable(middle)}"
    axis.annotate(
        said, (seconds.max(), place), (10, 0), textcoords="offset points", va="center", color=color, fontsize=9
    )


def _readable(seconds: float) -> str:
    """Return seconds with two or three significant digits and the unit that suits them."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s"
    milliseconds = 1000 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 99.5 else f"{milliseconds:.2g} ms"


def _dollars(value: float) -> str:
    return f"${value:,.0f}" if value >= 1 else f"${value:.2g}"

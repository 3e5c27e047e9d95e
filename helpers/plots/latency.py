"""How long calls to an endpoint take."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from helpers.plots.style import BLUE, ORANGE, finished, new_figure, round_steps, styled


@styled
def latencies(timings: Mapping[str, Mapping[str, Sequence[float]]], *, title: str, source: str) -> Figure:
    """Compare the first call of each model, which loads it, with the calls that follow.

    Args:
        timings: For each model, lists of seconds under "cold" and "warm". A list may be empty.
        title: Heading of the figure.
        source: What was measured, and where.

    Raises:
        ValueError: There is no time at all, or one is not above zero.
    """
    times = [second for model in timings.values() for kind in ("cold", "warm") for second in model.get(kind, ())]
    if not times or min(times) <= 0:
        raise ValueError("Latencies need at least one time, all in seconds above zero.")
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=0.9 + 0.95 * len(timings))
    for row, model in enumerate(timings.values()):
        for kind, colour, offset in (("cold", ORANGE, 0.2), ("warm", BLUE, -0.2)):
            seconds = np.asarray(model.get(kind, ()), dtype=float)
            if not len(seconds):
                continue
            place = -row + offset
            middle = float(np.median(seconds))
            if len(seconds) == 1:
                axis.plot(seconds, [place], "o", color=colour, markersize=9)
            else:
                # A fixed zigzag keeps points of equal time apart without a random figure.
                zigzag = 0.07 * (np.arange(len(seconds)) % 3 - 1)
                axis.plot(seconds, place + zigzag, "o", color=colour, alpha=0.45, markersize=5, markeredgewidth=0)
                axis.vlines(middle, place - 0.16, place + 0.16, color=colour, linewidth=3)
            count = f"{len(seconds)} calls, median " if len(seconds) > 1 else ""
            axis.annotate(
                f"{kind}: {count}{_readable(middle)}",
                (float(seconds.max()), place),
                xytext=(10, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontsize=9,
            )
    axis.set_yticks([-row for row in range(len(timings))], list(timings))
    axis.set_ylim(-len(timings) + 0.5, 0.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    _logarithmic_seconds(axis, min(times), max(times))
    seen = "; ".join(
        f"{model}: "
        + ", ".join(f"{kind} {_readable(float(np.median(times)))}" for kind, times in kinds.items() if times)
        for model, kinds in timings.items()
    )
    return finished(figure, title, source, seen=f"Median time of a call: {seen}")


def _readable(seconds: float) -> str:
    """Return seconds with two or three significant digits and the unit that suits them."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s"
    milliseconds = 1000 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 99.5 else f"{milliseconds:.2g} ms"


def _logarithmic_seconds(axis: Axes, low: float, high: float) -> None:
    """Give an axis of seconds powers of ten, with 2 and 5 between, and room for the text right of the last point."""
    axis.set_xscale("log")
    span = high / low
    left, right = low / 1.4, high * max(3.0, span**0.6)
    axis.xaxis.set_major_locator(FixedLocator(round_steps(left, right)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _readable(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlim(left, right)
    axis.set_xlabel("time of one call, as the client sees it (logarithmic)")
    axis.grid(axis="x")
    axis.set_axisbelow(True)

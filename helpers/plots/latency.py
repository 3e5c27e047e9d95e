"""How long calls to an endpoint take: by the state of their model, and over time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from helpers.plots.style import BLUE, GREY, ORANGE, SERIES, finished, new_figure, round_steps, styled

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
    _tick_seconds(axis.xaxis, low, high)
    axis.set_xlabel("time of one call, as the client sees it (logarithmic)")
    axis.grid(axis="x")
    return finished(figure, title, source, seen=f"Median time of a call: {'; '.join(said)}")


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
    _tick_seconds(upper.yaxis, 0.7 * seconds.min(), 1.4 * seconds.max())
    upper.set_ylabel("time of a call")
    upper.legend(loc="upper left", fontsize=9, ncols=2, bbox_to_anchor=(0, 1.22))
    window = max(1, len(hits) // 20)
    rolling = np.convolve(hits, np.ones(window) / window, mode="valid")
    lower.plot(starts[window - 1 :], rolling, color=BLUE, linewidth=2)
    lower.set_ylim(0, 1.05)
    lower.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    lower.set_ylabel(f"hits of the\nlast {window} calls")
    lower.set_xlabel("seconds since the traffic began")
    for axis in (upper, lower):
        axis.set_xlim(0, 1.01 * starts.max())
        axis.axvline(change, color=GREY, linestyle="--", linewidth=1.5)
        axis.grid(axis="y")
    parts = {"before": hits[starts <= change], "after": hits[starts > change]}
    shares = ", ".join(f"{part.mean():.0%} {when}" for when, part in parts.items() if len(part))
    return finished(figure, title, source, seen=f"Time of calls and share of hits over time: hits {shares} the change")


def _readable(seconds: float) -> str:
    """Return seconds with two or three significant digits and the unit that suits them."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s"
    milliseconds = 1000 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 99.5 else f"{milliseconds:.2g} ms"


def _tick_seconds(axis: Axis, low: float, high: float) -> None:
    """Give a logarithmic axis of seconds ticks that are readable."""
    axis.set_major_locator(FixedLocator(round_steps(low, high)))
    axis.set_major_formatter(lambda value, _: _readable(value))
    axis.set_minor_locator(NullLocator())

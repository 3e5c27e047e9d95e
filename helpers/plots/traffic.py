"""How calls to an endpoint went: by the state of their model, over time, and against a forecast."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from helpers.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SERIES,
    check_lengths,
    finished,
    new_figure,
    round_steps,
    styled,
)

STATES = {"warm": BLUE, "on disk": SERIES[4], "cold": ORANGE}


@styled
def call_states(timings: Mapping[str, Sequence[float]], *, title: str, source: str) -> Figure:
    """Compare the same call in several states of its model, each as a row of points with its median.

    Args:
        timings: Seconds of single calls, above zero, by state: "cold", "on disk" and "warm".
        title: Heading of the figure.
        source: What was measured, and where.

    Raises:
        ValueError: A state has no call.
    """
    if not timings or not all(len(seconds) for seconds in timings.values()):
        raise ValueError("Each state needs at least one call.")
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=0.9 + 0.75 * len(timings))
    for row, (state, seconds) in enumerate(timings.items()):
        colour, middle = STATES.get(state, INK), float(np.median(seconds))
        # A fixed zigzag keeps points of equal time apart without a random figure.
        zigzag = 0.05 * (np.arange(len(seconds)) % 5 - 2)
        axis.plot(seconds, zigzag - row, "o", color=colour, alpha=0.45, markersize=5, markeredgewidth=0)
        axis.vlines(middle, -row - 0.22, -row + 0.22, color=INK, linewidth=2.5)
        words = f"{len(seconds)} calls, median {1000 * middle:.3g} ms"
        axis.annotate(words, (middle, -row + 0.27), ha="center", va="bottom", fontsize=9, color=INK)
    axis.set_yticks([-row for row in range(len(timings))], list(timings))
    axis.set_ylim(-len(timings) + 0.6, 0.7)
    axis.tick_params(axis="y", length=0)
    everything = np.concatenate([np.asarray(seconds) for seconds in timings.values()])
    _logarithmic_milliseconds(axis, everything.min() / 1.4, everything.max() * 1.4)
    axis.set_xlabel("time of one call, as the client sees it (logarithmic)")
    seen = ", ".join(f"{state} {1000 * np.median(seconds):.3g} ms" for state, seconds in timings.items())
    return finished(figure, title, source, seen=f"Median time of a call: {seen}")


@styled
def traffic_over_time(
    starts: Sequence[float] | np.ndarray,
    seconds: Sequence[float] | np.ndarray,
    hits: Sequence[bool] | np.ndarray,
    loaded: Sequence[tuple[float, float]],
    *,
    change: float,
    title: str,
    source: str,
) -> Figure:
    """Show each call by its time and duration, above the share of hits and the number of loaded models.

    Args:
        starts: When each call was made, in seconds.
        seconds: How long each took.
        hits: Whether its model was loaded.
        loaded: Pairs of a time in seconds and the number of loaded models, as CloudWatch has them.
        change: When the traffic changed, in seconds.
        title: Heading of the figure.
        source: What was measured, and where.
    """
    check_lengths(starts=starts, seconds=seconds, hits=hits)
    starts, seconds, hits = np.asarray(starts), np.asarray(seconds), np.asarray(hits, dtype=bool)
    figure, ((upper,), (middle,), (lower,)) = new_figure(3, 1, width=9.0, height=6.2)
    for chosen, name, colour in ((hits, "hit: the model was loaded", BLUE), (~hits, "miss: it had to be", ORANGE)):
        label = f"{name} ({chosen.sum():,} calls)"
        upper.plot(starts[chosen], 1000 * seconds[chosen], "o", color=colour, markersize=3, alpha=0.6, label=label)
    upper.set_yscale("log")
    ticks = round_steps(0.7 * 1000 * seconds.min(), 1.4 * 1000 * seconds.max())
    upper.yaxis.set_major_locator(FixedLocator(ticks))
    upper.yaxis.set_minor_locator(NullLocator())
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.set_ylabel("ms a call")
    upper.legend(loc="upper left", fontsize=9, ncols=2, bbox_to_anchor=(0, 1.22))
    window = max(1, len(hits) // 20)
    rolling = np.convolve(hits, np.ones(window) / window, mode="valid")
    middle.plot(starts[window - 1 :], rolling, color=BLUE, linewidth=2)
    middle.set_ylim(0, 1.05)
    middle.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    middle.set_ylabel(f"hits of the\nlast {window} calls")
    times, counts = zip(*loaded, strict=True) if loaded else ((), ())
    lower.plot(times, counts, color=INK, linewidth=2, marker="o", markersize=4)
    lower.set_ylim(0, 1.15 * max(counts, default=1))
    lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    lower.set_ylabel("loaded models")
    lower.set_xlabel("seconds since the traffic began")
    for axis in (upper, middle, lower):
        axis.set_xlim(0, 1.01 * starts.max())
        axis.axvline(change, color=GREY, linestyle="--", linewidth=1.5)
        axis.grid(axis="y")
    before = starts < change
    shares = ", ".join(
        f"{hits[chosen].mean():.0%} {when}" for chosen, when in ((before, "before"), (~before, "after")) if chosen.any()
    )
    seen = (
        f"Latency, hits and loaded models over time: hits {shares} the change, up to {max(counts, default=0):g} loaded"
    )
    return finished(figure, title, source, seen=seen)


@styled
def forecast(predicted: Sequence[float], measured: Sequence[float], *, title: str, source: str) -> Figure:
    """Set the distribution of latency that was forecast against the one that was measured, down to the tail.

    Args:
        predicted: Seconds of calls as forecast.
        measured: Seconds of calls as measured.
        title: Heading of the figure.
        source: What was measured, and where.
    """
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=3.6)
    labels = []
    for seconds, name, colour, style in ((predicted, "forecast", ORANGE, "--"), (measured, "measured", BLUE, "-")):
        ordered = np.sort(np.asarray(seconds))
        slower = 1 - np.arange(len(ordered)) / len(ordered)
        p99 = float(np.percentile(ordered, 99))
        label = f"{name}: p50 {1000 * np.percentile(ordered, 50):.3g} ms, p99 {1000 * p99:.3g} ms"
        labels.append(label)
        axis.step(ordered, slower, style, color=colour, linewidth=2, where="post", label=label)
        axis.plot([p99], [0.01], "o", color=colour, markersize=7)
    axis.set_yscale("log")
    axis.set_ylim(0.002, 1.2)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axis.yaxis.set_major_locator(FixedLocator([1, 0.5, 0.1, 0.05, 0.01, 0.005]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.axhline(0.01, color=GREY, linewidth=1, zorder=0)
    both = np.concatenate([np.asarray(predicted), np.asarray(measured)])
    _logarithmic_milliseconds(axis, both.min() / 1.2, np.percentile(both, 99.9) * 1.2)
    axis.set_ylabel("share of calls that take longer")
    axis.set_xlabel("time of one call (logarithmic)")
    axis.grid()
    axis.legend(loc="upper right", fontsize=9)
    return finished(figure, title, source, seen=f"Share of calls that take longer, {'; '.join(labels)}")


def _logarithmic_milliseconds(axis: Axes, low: float, high: float) -> None:
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(FixedLocator(round_steps(low, high)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{1000 * value:.3g} ms" if value < 1 else f"{value:g} s")
    )
    axis.grid(axis="x")

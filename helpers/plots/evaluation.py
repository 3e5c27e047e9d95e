"""What a model's answers are worth: which classes it takes for each other, and how sure it may be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREY, INK, STEEL, finished, new_figure, show_percent, styled


@styled
def confusion_matrix(
    matrix: Sequence[Sequence[int]] | np.ndarray,
    class_names: Sequence[str],
    *,
    interval: Sequence[float] | None = None,
    title: str,
    source: str,
) -> Figure:
    """Show how often images of each class (rows) were given each label (columns), and the share that is right.

    Args:
        matrix: Counts, int (C, C); row is the true class, column the predicted one.
        class_names: One name for each of the C classes.
        interval: Low and high end of the 95 % interval of the accuracy, for the title.
        title: Heading of the figure.
        source: The images that were counted.

    Raises:
        ValueError: The matrix is not square or does not fit the names.
    """
    counts = np.asarray(matrix)
    size = len(class_names)
    if counts.shape != (size, size):
        raise ValueError(f"The confusion matrix has shape {counts.shape}; {size} class names need ({size}, {size}).")
    # Colour is the share of the row, so that classes of different sizes can be compared.
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ((axis,),) = new_figure(1, 1, width=max(4.5, 2.4 + 0.56 * size), height=1.2 + 0.5 * size)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.55 else INK
            axis.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
    for row in np.flatnonzero(counts.sum(axis=1)):
        axis.text(size - 0.35, row, f"{shares[row, row]:.0%}", va="center", color=STEEL, fontsize=9)
    axis.text(size - 0.35, -0.6, "right", va="bottom", color=STEEL, fontsize=9)
    tilted = max(map(len, class_names)) > 3
    axis.set_xticks(
        range(size),
        class_names,
        rotation=40 if tilted else 0,
        ha="right" if tilted else "center",
        rotation_mode="anchor" if tilted else "default",
    )
    axis.set_yticks(range(size), class_names)
    axis.tick_params(length=0)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.spines[:].set_visible(False)
    # Thin white lines between the cells.
    axis.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)
    right = f"{int(np.trace(counts)):,} of {int(counts.sum()):,} right"
    uncertain = "" if interval is None else f", 95% interval {interval[0]:.1%} to {interval[1]:.1%}"
    mistakes = np.where(np.eye(size, dtype=bool), 0, counts)
    row, column = divmod(int(mistakes.argmax()), size)
    share = f"{mistakes.max():,} of {counts[row].sum():,} images"
    most = f"most often {class_names[row]} is taken for {class_names[column]}, {share}"
    seen = f"Confusion matrix: {most if mistakes.any() else 'no class is taken for another'}"
    return finished(figure, f"{title} ({right}{uncertain})", source, seen=seen)


@styled
def calibration(measured: Mapping[str, Any], *, title: str, source: str) -> Figure:
    """Show whether the model is right as often as it is sure (a reliability diagram), and how sure it is how often.

    The form follows Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017).

    Args:
        measured: ``expected_error`` and ``expected_error_by_chance``, 0 to 1, and ``bins``: for each, ``low``,
            ``high``, ``count``, ``confidence``, ``accuracy`` and ``accuracy_interval``, as a training job writes them
            to ``evaluation.json``.
        title: Heading of the figure.
        source: The images that were counted.

    Raises:
        ValueError: There is no bin.
    """
    bins = measured["bins"]
    if not bins:
        raise ValueError("A calibration needs at least one bin with images. A training job writes each that has some.")
    figure, ((upper,), (lower,)) = new_figure(2, 1, width=6.4, height=5.2)
    upper.get_gridspec().set_height_ratios([3, 1])
    _draw_reliability(upper, bins)
    _draw_counts(lower, bins)
    for axis in (upper, lower):
        axis.set_xlim(0, 1.01)
        axis.set_xticks(np.linspace(0, 1, 11))
        show_percent(axis.xaxis, 0, 1)
    error, chance = measured["expected_error"], measured["expected_error_by_chance"]
    surest = max(bins, key=lambda each: each["low"])
    seen = (
        f"Reliability diagram: of the {surest['count']:,} surest answers, on average {surest['confidence']:.1%} sure, "
        f"{surest['accuracy']:.1%} are right"
    )
    return finished(figure, f"{title} (error {error:.1%}, by chance alone {chance:.1%})", source, seen=seen)


def _draw_reliability(axis: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Draw the accuracy of each bin, with its interval, against its confidence."""
    confidences, accuracies = (np.array([each[name] for each in bins]) for name in ("confidence", "accuracy"))
    intervals = np.array([each["accuracy_interval"] for each in bins])
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="as often right as sure")
    spread = np.abs(intervals.T - accuracies)
    axis.errorbar(confidences, accuracies, spread, color=BLUE, fmt="o", capsize=3, label="measured, 95% interval")
    axis.text(0.03, 0.94, "too timid", color=STEEL, fontsize=9)
    axis.text(0.98, 0.03, "too sure", color=STEEL, fontsize=9, ha="right")
    axis.set_ylabel("accuracy")
    axis.set_ylim(-0.02, 1.02)
    show_percent(axis.yaxis, 0, 1)
    axis.grid()
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)


def _draw_counts(axis: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Draw the number of images in each bin."""
    counts = [each["count"] for each in bins]
    lows, highs = (np.array([each[name] for each in bins]) for name in ("low", "high"))
    bars = axis.bar((lows + highs) / 2, counts, width=0.9 * (highs - lows), color=STEEL)
    axis.bar_label(bars, [f"{count:,}" for count in counts], fontsize=8, padding=1)
    axis.set_ylim(0, 1.25 * max(counts))
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_ylabel("images")
    axis.set_xlabel("confidence: probability of the predicted class")
    axis.grid(axis="x")

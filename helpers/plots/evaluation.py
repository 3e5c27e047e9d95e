"""Figures of an evaluation: the confusion matrix, the calibration, and what models of their own gain users."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREY, INK, ORANGE, STEEL, finished, new_figure, show_percent, styled


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

    `matrix` has counts, int (C, C), and `interval` the two ends of the accuracy's 95 % interval.
    """
    counts, size = np.asarray(matrix), len(class_names)
    # Color is the share of the row, so that classes of different sizes can be compared.
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ((axis,),) = new_figure(1, 1, width=max(4.5, 2.4 + 0.56 * size), height=1.2 + 0.5 * size)
    axis.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axis.invert_yaxis()
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.55 else INK
        text = f"{counts[row, column]:,}"
        axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=color, fontsize=9)
    axis.text(size + 0.15, -0.1, "right", va="bottom", color=STEEL, fontsize=9)
    for row in np.flatnonzero(counts.sum(axis=1)):
        axis.text(size + 0.15, row + 0.5, f"{shares[row, row]:.0%}", va="center", color=STEEL, fontsize=9)
    axis.set_xticks(np.arange(size) + 0.5, class_names)
    axis.set_yticks(np.arange(size) + 0.5, class_names)
    if max(map(len, class_names)) > 3:
        axis.tick_params("x", rotation=40)
        for label in axis.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="true")
    axis.spines[:].set_visible(False)
    mistakes = counts * ~np.eye(size, dtype=bool)
    row, column = divmod(int(mistakes.argmax()), size)
    most = f"most often {class_names[row]} is taken for {class_names[column]}"
    most += f", {mistakes.max():,} of {counts[row].sum():,} images"
    uncertain = "" if interval is None else f", 95% interval {interval[0]:.1%} to {interval[1]:.1%}"
    return finished(
        figure,
        f"{title} ({np.trace(counts):,} of {counts.sum():,} right{uncertain})",
        source,
        seen=f"Confusion matrix: {most if mistakes.any() else 'no class is taken for another'}",
    )


@styled
def calibration(measured: Mapping[str, Any], *, title: str, source: str) -> Figure:
    """Show whether the model is right as often as it is sure (a reliability diagram), and how sure it is how often.

    The form follows Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017). `measured` is
    the calibration in a job's `evaluation.json`.
    """
    bins = measured["bins"]
    low, high, count, confidence, accuracy = (
        np.array([each[name] for each in bins]) for name in ("low", "high", "count", "confidence", "accuracy")
    )
    spread = np.abs(np.array([each["accuracy_interval"] for each in bins]).T - accuracy)
    figure, ((upper,), (lower,)) = new_figure(2, 1, width=6.4, height=5.2)
    upper.get_gridspec().set_height_ratios([3, 1])

    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    upper.errorbar(confidence, accuracy, spread, color=BLUE, fmt="o", capsize=3, label="measured, 95% interval")
    upper.text(0.03, 0.94, "underconfident", color=STEEL, fontsize=9)
    upper.text(0.98, 0.03, "overconfident", color=STEEL, fontsize=9, ha="right")
    upper.set(ylabel="accuracy", ylim=(-0.02, 1.02))
    show_percent(upper.yaxis)
    upper.grid()
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    bars = lower.bar((low + high) / 2, count, width=0.9 * (high - low), color=STEEL)
    lower.bar_label(bars, [f"{images:,}" for images in count], fontsize=8, padding=1)
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="images", ylim=(0, 1.25 * max(count)))
    lower.set_yticks([])
    lower.spines["left"].set_visible(False)
    lower.grid(axis="x")
    for axis in (upper, lower):
        axis.set(xlim=(0, 1.01), xticks=np.linspace(0, 1, 11))
        show_percent(axis.xaxis)

    error, chance = measured["expected_error"], measured["expected_error_by_chance"]
    surest = max(bins, key=lambda each: each["low"])
    seen = (
        f"Reliability diagram: of the {surest['count']:,} surest answers, on average {surest['confidence']:.1%} sure, "
        f"{surest['accuracy']:.1%} are right"
    )
    return finished(figure, f"{title} (error {error:.1%}, {chance:.1%} expected by chance)", source, seen=seen)


@styled
def personal_gain(
    strengths: Mapping[str, Sequence[float]], comparison: Mapping[str, Any], *, chosen: float, title: str, source: str
) -> Figure:
    """Show how the regularization strength was chosen, and what each user gains on their test images.

    A job leaves `strengths` and `comparison` in `evaluation.json`: differences to the shared model on the validation
    images, and on the test images with the gains of the users.
    """
    figure, ((left, right),) = new_figure(1, 2, width=9.6, height=3.4)
    _draw_strengths(left, strengths, chosen)
    _draw_gains(right, comparison["gains"])
    difference, (low, high) = 100 * comparison["difference"], comparison["difference_interval"]
    said = f"{difference:+.1f} points, 95% interval {100 * low:+.1f} to {100 * high:+.1f}"
    gains = np.asarray(comparison["gains"])
    seen = (
        f"The regularization strength {chosen:g} is chosen; on test images {(gains > 0).sum():,} users gain, "
        f"{(gains == 0).sum():,} stay, {(gains < 0).sum():,} lose"
    )
    return finished(figure, f"{title} ({said})", source, seen=seen)


def _draw_strengths(axis: Axes, strengths: Mapping[str, Sequence[Any]], chosen: float) -> None:
    differences = 100 * np.asarray(strengths["difference"], dtype=float)
    spread = np.abs(100 * np.asarray(strengths["difference_interval"], dtype=float).T - differences)
    axis.axhline(0, color=STEEL, linewidth=1)
    axis.axvline(chosen, color=GREY, linestyle="--", zorder=0)
    axis.errorbar(strengths["strength"], differences, spread, color=BLUE, marker="o", capsize=3)
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    axis.set_xlabel("regularization strength (dashed: chosen)")
    axis.set_title("Validation: points beyond the shared model")
    axis.grid()


def _draw_gains(axis: Axes, gains: Sequence[int]) -> None:
    steps = np.arange(min(*gains, -1), max(*gains, 1) + 1)
    counts = [int(np.sum(np.asarray(gains) == step)) for step in steps]
    colors = [ORANGE if step < 0 else STEEL if step == 0 else BLUE for step in steps]
    axis.bar_label(axis.bar(steps, counts, color=colors), color=INK, fontsize=9)
    axis.set_xticks(steps, [f"{step:+d}" if step else "0" for step in steps])
    axis.set_ylim(0, 1.15 * max(counts))
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("further test images that a user's own model gets right")
    axis.set_title("Test: users, by what they gain")

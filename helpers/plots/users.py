"""Users with signs of their own, and what a model of their own gains them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREY, INK, ORANGE, STEEL, finished, new_figure, styled


@styled
def user_signs(
    images: Sequence[np.ndarray],
    users: Sequence[str],
    class_names: Sequence[str],
    *,
    private: Mapping[str, Collection[int]],
    title: str,
    source: str,
) -> Figure:
    """Show one image of each class for each user, a row for each user; private signs are framed.

    `images` has uint8 (C, H, W, 3) for each user, in the order of the `class_names`. `private` has the classes that a
    user shows in a way of their own.
    """
    columns = len(class_names)
    figure, axes = new_figure(len(users), columns, width=1.6 + 0.72 * columns, height=0.25 + 0.75 * len(users))
    for user, row, row_axes in zip(users, images, axes, strict=True):
        for label, (axis, image) in enumerate(zip(row_axes, row, strict=True)):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.imshow(image, interpolation="nearest")
            if label in private.get(user, ()):
                axis.spines[:].set(visible=True, color=ORANGE, linewidth=3)
        row_axes[0].text(-0.15, 0.5, user, transform=row_axes[0].transAxes, ha="right", va="center", fontsize=9)
    for axis, name in zip(axes[0], class_names, strict=True):
        axis.set_title(name, loc="center")
    framed = sum(len(private.get(user, ())) for user in users)
    seen = f"An image of each of {', '.join(class_names)} for each of {', '.join(users)}; {framed} are private signs"
    return finished(figure, title, source, seen=seen)


@styled
def personal_gain(
    strengths: Mapping[str, Sequence[float]],
    comparison: Mapping[str, Any],
    *,
    chosen: float,
    title: str,
    source: str,
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

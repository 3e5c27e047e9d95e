"""Images with what is known or said about them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.aws.artifacts import Mistakes
from helpers.plots.style import BLUE, GREY, INK, ORANGE, finished, new_figure, styled


@styled
def sample_grid(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    per_class: int = 8,
    title: str,
    source: str,
) -> Figure:
    """Show the first images of every class, a row for each class.

    `images` is uint8 (N, H, W, 3), `labels` int (N,): indices into `class_names`.
    """
    figure, axes = new_figure(len(class_names), per_class, width=1.3 + 0.72 * per_class, height=0.75 * len(class_names))
    for index, (name, row) in enumerate(zip(class_names, axes, strict=True)):
        row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=11)
        for axis in row:
            axis.set_axis_off()
        for axis, place in zip(row, np.flatnonzero(np.asarray(labels) == index), strict=False):
            axis.imshow(images[place], interpolation="nearest")
    return finished(figure, title, source, seen=f"A row of images for each of {', '.join(class_names)}")


@styled
def predictions(
    images: np.ndarray,
    labels: Sequence[str],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    true_labels: Sequence[str] | None = None,
    title: str,
    source: str,
) -> Figure:
    """Show each image beside the five labels that the model finds most probable, and mark a wrong prediction.

    `images` is uint8 (N, H, W, 3), `probabilities` float (N, C) in the order of the `class_names`.
    """
    truths = list(labels if true_labels is None else true_labels)
    columns = min(2, len(images))
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, 2 * columns, width=4.6 * columns, height=1.75 * rows, ratios=[1, 1.25] * columns)
    for axis in axes.flat[2 * len(images) :]:
        axis.remove()
    answers = []
    cells = zip(images, labels, probabilities, truths, axes.reshape(-1, 2), strict=False)
    for image, label, each, truth, (picture, bars) in cells:
        picture.set_axis_off()
        picture.imshow(image, interpolation="nearest")
        _probability_bars(bars, each, class_names, chosen=label, truth=truth)
        answers.append(f"{label} ({_percent(each.max())})" + (f", is {truth}" if true_labels is not None else ""))
    return finished(figure, title, source, seen=f"Images with what the model says: {'; '.join(answers)}")


@styled
def mistakes(kept: Mistakes, class_names: Sequence[str], *, title: str, source: str) -> Figure:
    """Show the images on which the model was wrong and most sure, with what it said and what is true.

    A model without mistakes gets a picture that says so.
    """
    amount, columns = len(kept.images), 6
    if not amount:
        figure, ((axis,),) = new_figure(1, 1, width=9.0, height=0.9)
        axis.set_axis_off()
        statement = f"No mistakes: all {kept.image_count:,} images are classified correctly."
        axis.text(0.5, 0.5, statement, transform=axis.transAxes, ha="center", va="center", fontsize=12)
        return finished(figure, title, source, seen=statement.rstrip("."))
    rows = -(-amount // columns)
    figure, axes = new_figure(rows, columns, width=9.6, height=1.9 * rows)
    for axis in axes.flat:
        # An empty place keeps its width, so that one mistake is not drawn as large as six.
        axis.set_axis_off()
    answers = list(zip(kept.predictions, kept.labels, strict=True))
    cells = zip(kept.images, answers, kept.probabilities, axes.flat, strict=False)
    for image, (said, truth), probabilities, axis in cells:
        axis.imshow(image, interpolation="nearest")
        first, second = (
            f"{word} {_shortened(class_names[answer])} ({_percent(probabilities[answer])})"
            for word, answer in (("says", said), ("is", truth))
        )
        axis.set_title(first, loc="center", pad=16, color=ORANGE, fontsize=8)
        below = axis.text(0.5, 1.03, second, transform=axis.transAxes, ha="center", va="bottom", fontsize=8)
        # Its height is part of the pad above; its width must not make the picture smaller.
        below.set_in_layout(False)
    shown = f"{amount} of {kept.count:,}" if amount < kept.count else f"{amount}"
    pairs = ", ".join(f"{class_names[truth]} as {class_names[said]}" for said, truth in answers)
    title = f"{title} ({shown} in {kept.image_count:,} images)"
    return finished(figure, title, source, seen=f"The images that the model mistakes: {pairs}")


def _shortened(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11].rstrip()}…"


def _percent(value: float) -> str:
    """Return a probability as percent, never rounded up to certainty."""
    return ">99.9%" if 0.9995 <= value < 1 else f"{value:.1%}"


def _probability_bars(
    axis: Axes, probabilities: np.ndarray, class_names: Sequence[str], *, chosen: str, truth: str
) -> None:
    """Draw the five most probable classes of one image as horizontal bars, the most probable at the top."""
    top = np.argsort(-probabilities, kind="stable")[:5]
    wrong = truth != chosen
    colors = [(ORANGE if wrong else BLUE) if class_names[index] == chosen else GREY for index in top]
    bars = axis.barh(range(len(top)), probabilities[top], color=colors, height=0.7)
    axis.bar_label(bars, [f"{value:.1%}" for value in probabilities[top]], fontsize=8, padding=3)
    axis.set_yticks(range(len(top)), [class_names[index] for index in top], fontsize=9)
    axis.set(xlim=(0, 1.3), ylim=(4.6, -0.6), xticks=[])
    axis.tick_params(length=0)
    axis.spines["bottom"].set_visible(False)
    axis.set_title(f"{chosen} (in truth {truth})" if wrong else str(chosen), color=ORANGE if wrong else INK)

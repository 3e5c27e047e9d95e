"""Images with what is known or said about them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.aws.artifacts import Mistakes
from helpers.plots.style import BLUE, GREY, INK, ORANGE, check_lengths, finished, hide, new_figure, styled


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

    Args:
        images: uint8 (N, H, W, 3), RGB.
        labels: int (N,), indices into `class_names`.
        class_names: One name for each class.
        per_class: Images in a row; a class with fewer leaves the rest empty.
        title: Heading of the figure.
        source: Where the images come from.

    Raises:
        ValueError: Images and labels differ in number.
    """
    check_lengths(images=images, labels=labels)
    labels = np.asarray(labels)
    rows = [images[np.flatnonzero(labels == index)[:per_class]] for index in range(len(class_names))]
    figure, axes = new_figure(len(class_names), per_class, width=1.3 + 0.72 * per_class, height=0.75 * len(class_names))
    for name, row, row_axes in zip(class_names, rows, axes, strict=True):
        for column, axis in enumerate(row_axes):
            hide(axis)
            if column < len(row):
                axis.imshow(row[column], interpolation="nearest")
        row_axes[0].text(-0.15, 0.5, name, transform=row_axes[0].transAxes, ha="right", va="center", fontsize=11)
    seen = f"A row of images for each of {', '.join(class_names)}"
    return finished(figure, title, source, seen=seen)


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
    """Show each image beside the five labels that the model finds most probable.

    Args:
        images: uint8 (N, H, W, 3), RGB.
        labels: The N labels that the model returned.
        probabilities: float (N, C), each row sums to 1.
        class_names: The C names, in the order of the probabilities.
        true_labels: The N true labels, if known: a wrong prediction is then marked.
        title: Heading of the figure.
        source: Where the images come from.

    Raises:
        ValueError: The arguments differ in length.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    check_lengths(images=images, labels=labels, probabilities=probabilities)
    if true_labels is not None:
        check_lengths(images=images, true_labels=true_labels)
    if probabilities.shape[1:] != (len(class_names),):
        raise ValueError(f"Probabilities of shape {probabilities.shape} need as many class names as columns.")
    columns = min(2, len(images))
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, 2 * columns, width=4.6 * columns, height=1.75 * rows, ratios=[1, 1.25] * columns)
    pairs = axes.reshape(-1, 2)
    for axis in pairs[len(images) :].flat:
        axis.remove()
    for index, (picture, bars) in enumerate(pairs[: len(images)]):
        truth = None if true_labels is None else true_labels[index]
        hide(picture)
        picture.imshow(images[index], interpolation="nearest")
        _probability_bars(bars, probabilities[index], class_names, chosen=labels[index], truth=truth)
    answers = [f"{label} ({_percent(row.max())})" for label, row in zip(labels, probabilities, strict=True)]
    if true_labels is not None:
        answers = [f"{said}, is {truth}" for said, truth in zip(answers, true_labels, strict=True)]
    return finished(figure, title, source, seen=f"Images with what the model says: {'; '.join(answers)}")


@styled
def mistakes(kept: Mistakes, class_names: Sequence[str], *, title: str, source: str) -> Figure:
    """Show the images on which the model was wrong and most sure, with what it said and what is true.

    A model without mistakes gets a picture that says so.

    Args:
        kept: The mistakes that a training job left, of one split.
        class_names: The C names, in the order of the probabilities.
        title: Heading of the figure.
        source: Where the images come from.
    """
    amount, columns = len(kept.images), 6
    if not amount:
        figure, ((axis,),) = new_figure(1, 1, width=9.0, height=0.9)
        hide(axis)
        statement = f"No mistakes: all {kept.image_count:,} images are labelled rightly."
        axis.text(0.5, 0.5, statement, transform=axis.transAxes, ha="center", va="center", fontsize=12)
        return finished(figure, title, source, seen=statement.rstrip("."))
    rows = -(-amount // columns)
    figure, axes = new_figure(rows, columns, width=9.6, height=1.9 * rows)
    for axis in axes.flat:
        # An empty place keeps its width, so that one mistake is not drawn as large as six.
        axis.set_axis_off()
    for index, axis in zip(range(amount), axes.flat, strict=False):
        axis.imshow(kept.images[index], interpolation="nearest")
        said, truth = kept.predictions[index], kept.labels[index]
        lines = [
            f"{word} {_shortened(class_names[answer])} ({_percent(kept.probabilities[index, answer])})"
            for word, answer in (("says", said), ("is", truth))
        ]
        axis.set_title(lines[0], loc="center", pad=16, color=ORANGE, fontsize=8)
        second = axis.text(0.5, 1.03, lines[1], transform=axis.transAxes, ha="center", va="bottom", fontsize=8)
        # Its height is part of the pad above; its width must not make the picture smaller.
        second.set_in_layout(False)
    shown = f"{amount} of {kept.count:,}" if amount < kept.count else f"{amount}"
    pairs = (
        f"{class_names[truth]} as {class_names[said]}"
        for truth, said in zip(kept.labels, kept.predictions, strict=True)
    )
    seen = f"The images that the model mistakes: {', '.join(pairs)}"
    return finished(figure, f"{title} ({shown} in {kept.image_count:,} images)", source, seen=seen)


def _shortened(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11].rstrip()}…"


def _percent(value: float) -> str:
    """Return a probability as percent, never rounded up to certainty."""
    return ">99.9%" if 0.9995 <= value < 1 else f"{value:.1%}"


def _probability_bars(
    axis: Axes, probabilities: np.ndarray, class_names: Sequence[str], *, chosen: str, truth: str | None
) -> None:
    """Draw the five most probable classes of one image as horizontal bars, the most probable at the top."""
    top = np.argsort(-probabilities, kind="stable")[:5]
    wrong = truth is not None and truth != chosen
    colours = [(ORANGE if wrong else BLUE) if class_names[index] == chosen else GREY for index in top]
    axis.barh(range(len(top)), probabilities[top], color=colours, height=0.7)
    for place, index in enumerate(top):
        axis.text(probabilities[index] + 0.03, place, f"{probabilities[index]:.1%}", va="center", fontsize=8)
    axis.set_yticks(range(len(top)), [class_names[index] for index in top], fontsize=9)
    axis.set_ylim(4.6, -0.6)
    axis.set_xlim(0, 1.3)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines[["bottom"]].set_visible(False)
    axis.set_title(f"{chosen} (in truth {truth})" if wrong else str(chosen), color=ORANGE if wrong else INK)

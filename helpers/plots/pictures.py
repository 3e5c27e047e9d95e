"""Images with what is known or said about them, and what a network wants of their pixels."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.aws.artifacts import Mistakes
from helpers.plots.style import BLUE, GREEN, GREY, INK, ORANGE, finished, new_figure, styled

# What VGG16 was trained with: https://keras.io/api/applications/vgg. In the order red, green, blue.
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939])


@styled
def sample_grid(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, per_class: int = 8, title: str, source: str
) -> Figure:
    """Show the first images of every class, a row for each class.

    `images` is uint8 (N, H, W, 3), `labels` int (N,): indices into `class_names`.
    """
    rows = [images[np.asarray(labels) == index] for index in range(len(class_names))]
    figure, _ = _rows_of_images(class_names, rows, per_class)
    return finished(figure, title, source, seen=f"A row of images for each of {', '.join(class_names)}")


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
    for user, row in zip(users, images, strict=True):
        if len(row) != len(class_names):
            raise ValueError(f"{user} has {len(row)} images for {len(class_names)} classes. Pass one for each.")
    figure, axes = _rows_of_images(users, images, len(class_names))
    for user, row in zip(users, axes, strict=True):
        for label in private.get(user, ()):
            row[label].spines[:].set(visible=True, color=ORANGE, linewidth=3)
    for axis, name in zip(axes[0], class_names, strict=True):
        axis.set_title(name, loc="center")
    framed = sum(len(private.get(user, ())) for user in users)
    seen = f"An image of each of {', '.join(class_names)} for each of {', '.join(users)}; {framed} are private signs"
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


@styled
def preprocessing(
    images: np.ndarray, measured: Mapping[str, Mapping[str, float]], *, title: str, source: str
) -> Figure:
    """Show pixel values before and after the preprocessing of VGG16, and the accuracy with other preprocessing.

    `images` is uint8 (N, H, W, 3). For each kind of preprocessing, `measured` has the accuracy `served` of a model that
    was trained with the right one, and `trained` of a model that was trained with this one too.
    """
    figure, ((before, after, bars),) = new_figure(1, 3, width=11.0, height=3.2, ratios=[1, 1, 1.25])
    pixels = images.reshape(-1, 3).astype(np.float64)
    for axis, values, heading in (
        (before, pixels, "In the image file"),
        (after, pixels - IMAGENET_MEAN, "As VGG16 expects it"),
    ):
        for channel, (name, color) in enumerate((("red", ORANGE), ("green", GREEN), ("blue", BLUE))):
            counts, edges = np.histogram(values[:, channel], bins=48)
            # VGG16 takes blue first.
            place = channel + 1 if axis is before else 3 - channel
            axis.stairs(counts / counts.sum(), edges, color=color, linewidth=1.8, label=f"{name}, channel {place}")
        axis.set(title=heading, xlabel="value of a pixel", yticks=[])
        axis.set_ylim(bottom=0)
        axis.spines["left"].set_visible(False)
        axis.legend(loc="upper left", fontsize=8)
    after.axvline(0, color=GREY, linewidth=1)

    places = np.arange(len(measured))
    for offset, kind, color, label in (
        (-0.19, "served", ORANGE, "in serving only"),
        (0.19, "trained", BLUE, "in training and serving"),
    ):
        accuracies = [accuracy[kind] for accuracy in measured.values()]
        drawn = bars.barh(places + offset, accuracies, height=0.36, color=color, label=label)
        bars.bar_label(drawn, [f"{accuracy:.1%}" for accuracy in accuracies], fontsize=8, padding=3)
    bars.set_yticks(places, list(measured))
    bars.set(title="Accuracy with other preprocessing", xlim=(0, 1.2), ylim=(len(measured) - 0.5, -0.5), xticks=[])
    bars.tick_params(length=0)
    bars.spines["bottom"].set_visible(False)
    bars.legend(loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, fontsize=8)
    seen = "; ".join(
        f"{name}: {accuracy['served']:.1%} in serving only, {accuracy['trained']:.1%} in training and serving"
        for name, accuracy in measured.items()
    )
    return finished(figure, title, source, seen=f"Pixel values before and after preprocessing, and accuracies: {seen}")


def _rows_of_images(names: Sequence[str], rows: Iterable[np.ndarray], columns: int) -> tuple[Figure, np.ndarray]:
    """Draw the first images of each row, with its name; the places of missing ones stay empty."""
    figure, axes = new_figure(len(names), columns, width=1.4 + 0.72 * columns, height=0.1 + 0.75 * len(names))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for name, row, row_axes in zip(names, rows, axes, strict=True):
        row_axes[0].text(-0.15, 0.5, name, transform=row_axes[0].transAxes, ha="right", va="center")
        for axis, image in zip(row_axes, row, strict=False):
            axis.imshow(image, interpolation="nearest")
    return figure, axes


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

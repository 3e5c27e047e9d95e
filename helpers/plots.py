"""The figures of the notebooks: images by class, learning curves, confusion, predictions and latencies.

Every function returns a matplotlib figure that shows in small type where its data comes from.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from helpers.canvas import BLUE, GREY, INK, ORANGE, STEEL, check_lengths, finished, hide, new_figure, styled


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
    return finished(figure, title, source)


@styled
def learning_curves(history: Mapping[str, Sequence[float]], *, title: str, source: str) -> Figure:
    """Show loss and accuracy by epoch, for training and validation, and mark the best validation value of each.

    Args:
        history: Lists of equal length: epoch (from 1), loss, accuracy (0 to 1), val_loss and val_accuracy.
        title: Heading of the figure.
        source: What the model was trained on.

    Raises:
        ValueError: A list is missing or they differ in length.
    """
    needed = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    missing = [name for name in needed if name not in history]
    if missing:
        raise ValueError(f"The history lacks {', '.join(missing)}. A training job writes all of {', '.join(needed)}.")
    check_lengths(**{name: history[name] for name in needed})
    epochs = np.asarray(history["epoch"])
    figure, ((left, right),) = new_figure(1, 2, width=9.0, height=3.4)
    for axis, name, best in ((left, "loss", np.argmin), (right, "accuracy", np.argmax)):
        validation = np.asarray(history[f"val_{name}"], dtype=float)
        axis.plot(epochs, history[name], color=STEEL, linewidth=2, marker="o", markersize=4, label="training")
        axis.plot(epochs, validation, color=BLUE, linewidth=2, marker="o", markersize=4, label="validation")
        index = int(best(validation))
        value = f"{validation[index]:.1%}" if name == "accuracy" else f"{validation[index]:.3f}"
        label = f"best: {value} in epoch {epochs[index]}"
        axis.plot(
            epochs[index], validation[index], "o", markersize=10, markerfacecolor="none", color=ORANGE, label=label
        )
        axis.set_title(name.capitalize())
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        # A single epoch is a single point: room to its right for the legend.
        axis.set_xlim(epochs.min() - 0.5, epochs.max() + (0.5 if len(epochs) > 1 else 1.5))
        axis.grid(axis="y")
        axis.legend(loc="best", fontsize=9)
    left.set_ylim(0, 1.08 * max(*history["loss"], *history["val_loss"]))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return finished(figure, title, source)


@styled
def confusion_matrix(
    matrix: Sequence[Sequence[int]] | np.ndarray, class_names: Sequence[str], *, title: str, source: str
) -> Figure:
    """Show how often images of each class (rows) were given each label (columns).

    Args:
        matrix: Counts, int (C, C); row is the true class, column the predicted one.
        class_names: One name for each of the C classes.
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
    figure, ((axis,),) = new_figure(1, 1, width=1.9 + 0.56 * size, height=1.2 + 0.5 * size)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.55 else INK
            axis.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
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
    right = int(np.trace(counts))
    return finished(figure, f"{title} ({right:,} of {int(counts.sum()):,} right)", source)


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
    return finished(figure, title, source)


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
    return finished(figure, title, source)


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
    steps = [step * 10.0**power for power in range(-7, 5) for step in (1, 2, 5)]
    inside = [step for step in steps if left <= step <= right]
    if len(inside) > 9:
        inside = [10.0**power for power in range(-7, 5) if left <= 10.0**power <= right]
    axis.xaxis.set_major_locator(FixedLocator(inside))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _readable(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlim(left, right)
    axis.set_xlabel("time of one call, as the client sees it (logarithmic)")
    axis.grid(axis="x")
    axis.set_axisbelow(True)


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

"""The figure of preprocessing: what a pretrained network expects, and what it does with anything else."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREEN, GREY, ORANGE, finished, new_figure, styled

# What VGG16 was trained with: https://keras.io/api/applications/vgg. In the order red, green, blue.
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939])


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

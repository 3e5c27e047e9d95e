import numpy as np
import pytest

from helpers import plots
from helpers.plots.preprocessing import IMAGENET_MEAN

MEASURED = {"right": {"served": 0.98, "trained": 0.98}, "scaled to 0–1": {"served": 0.125, "trained": 0.7}}


@pytest.fixture
def images():
    return np.full((2, 4, 4, 3), (250, 100, 10), dtype=np.uint8)


def test_the_mean_is_that_of_keras():
    from keras.applications.vgg16 import preprocess_input

    pixels = np.zeros((1, 1, 1, 3), np.float32)
    np.testing.assert_allclose(preprocess_input(pixels)[0, 0, 0], -IMAGENET_MEAN[::-1], rtol=1e-6)


def test_the_values_move_by_the_mean_and_the_channels_change_places(images, texts):
    figure = plots.preprocessing(images, MEASURED, title="T", source="s")
    before, after, _ = figure.axes
    for axis, values in ((before, [250, 100, 10]), (after, np.array([250, 100, 10]) - IMAGENET_MEAN)):
        for steps, value in zip(axis.patches, values, strict=True):
            counts, edges, _ = steps.get_data()
            (place,) = np.flatnonzero(counts)
            assert counts[place] == 1 and edges[place] <= value <= edges[place + 1]
    assert [text.get_text() for text in before.get_legend().get_texts()] == [
        "red, channel 1", "green, channel 2", "blue, channel 3"
    ]  # fmt: skip
    assert {"red, channel 3", "green, channel 2", "blue, channel 1"} <= set(texts(figure))


def test_each_kind_of_preprocessing_has_both_accuracies(images, texts):
    figure = plots.preprocessing(images, MEASURED, title="T", source="s")
    assert {"right", "scaled to 0–1", "98.0%", "12.5%", "70.0%"} <= set(texts(figure))
    assert sorted(bar.get_width() for bar in figure.axes[2].patches) == [0.125, 0.7, 0.98, 0.98]

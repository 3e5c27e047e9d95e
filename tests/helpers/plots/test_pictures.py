import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from helpers import plots
from helpers.aws.artifacts import Mistakes
from helpers.plots import style
from helpers.plots.pictures import IMAGENET_MEAN
from tests.helpers.plots.examples import IMAGES, MISTAKES, NAMES

LABELS = np.array([0, 0, 2, 0, 2])
MEASURED = {"right": {"served": 0.98, "trained": 0.98}, "scaled to 0–1": {"served": 0.125, "trained": 0.7}}
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
NO_MISTAKES = dataclasses.replace(
    MISTAKES,
    **{name: getattr(MISTAKES, name)[:0] for name in ("images", "indices", "labels", "predictions", "probabilities")},
    count=0,
)


def predicted(**options) -> Figure:
    return plots.predictions(
        IMAGES[:2], ["airplane", "cat"], PROBABILITIES, NAMES, title="T", source="a sample", **options
    )


def missed(kept: Mistakes, names: list[str] = NAMES) -> Figure:
    return plots.mistakes(kept, names, title="T", source="a sample")


def test_the_grid_has_a_row_for_each_class_and_leaves_missing_images_empty(texts):
    figure = plots.sample_grid(IMAGES, LABELS, NAMES, per_class=2, title="T", source="s")
    shown = [len(axis.images) for axis in figure.axes]
    assert shown == [1, 1, 0, 0, 1, 1]
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), IMAGES[2])
    assert set(NAMES) <= set(texts(figure))


def test_predictions_list_the_most_probable_first_and_mark_a_wrong_one(texts):
    figure = predicted(true_labels=["airplane", "automobile"])
    shown = texts(figure)
    assert "cat (in truth automobile)" in shown and "airplane" in shown
    first, second = figure.axes[1], figure.axes[3]
    assert [label.get_text() for label in first.get_yticklabels()] == ["airplane", "automobile", "cat"]
    assert [bar.get_width() for bar in second.patches] == [0.8, 0.1, 0.1]
    (title,) = second.findobj(lambda artist: getattr(artist, "get_text", str)() == "cat (in truth automobile)")
    assert title.get_color() == style.ORANGE
    colours = [[bar.get_facecolor() for bar in axis.patches] for axis in (first, second)]
    assert colours[0][0] != colours[1][0] and colours[0][1] == colours[1][1]


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_predictions_fills_the_figure(count):
    figure = plots.predictions(
        IMAGES[:count], ["cat"] * count, np.full((count, 3), 1 / 3), NAMES, title="T", source="s"
    )
    assert sum(len(axis.images) for axis in figure.axes) == count


def test_a_mistake_shows_its_image_and_what_was_said_and_what_is_true_with_their_probabilities(texts):
    figure = missed(MISTAKES)
    shown = texts(figure)
    assert {"says cat (80.0%)", "is airplane (10.0%)", "says automobile (60.0%)", "is cat (30.0%)"} <= set(shown)
    pictures = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    np.testing.assert_array_equal(pictures, MISTAKES.images)


@pytest.mark.parametrize(("count", "title"), [(2, "T (2 in 50 images)"), (1234, "T (2 of 1,234 in 50 images)")])
def test_the_title_tells_how_many_mistakes_there_are_and_how_many_are_shown(count, title):
    assert missed(dataclasses.replace(MISTAKES, count=count)).get_suptitle() == title


def test_a_model_without_mistakes_gets_a_picture_that_says_so(texts):
    figure = missed(NO_MISTAKES)
    assert "No mistakes: all 50 images are classified correctly." in texts(figure)
    assert figure.get_suptitle() == "T" and not figure.axes[0].images


def test_no_mistake_looks_certain_that_is_not(texts):
    probabilities = np.array([[0.0, 0.0002, 0.9998], [0.0, 1.0, 0.0]])
    shown = texts(missed(dataclasses.replace(MISTAKES, probabilities=probabilities)))
    assert {"says cat (>99.9%)", "says automobile (100.0%)"} <= set(shown)


def test_long_class_names_leave_the_pictures_as_large_as_short_ones():
    widths = []
    for names in (NAMES, ["a class name as long as a whole sentence"] * 3):
        figure = missed(MISTAKES, names)
        figure.draw_without_rendering()
        widths.append(figure.axes[0].get_window_extent().width)
    assert widths[1] == pytest.approx(widths[0], rel=0.02)


def test_a_user_without_an_image_of_each_class_is_refused_by_name():
    pictures = [np.zeros((count, 8, 8, 3), np.uint8) for count in (len(NAMES), len(NAMES) - 1)]
    with pytest.raises(ValueError, match=f"bob has {len(NAMES) - 1} images for {len(NAMES)} classes"):
        plots.user_signs(pictures, ["ann", "bob"], NAMES, private={}, title="T", source="s")


def test_private_signs_and_no_others_are_framed(texts):
    pictures = np.zeros((2, 3, 8, 8, 3), np.uint8)
    figure = plots.user_signs(pictures, ["ann", "bob"], NAMES, private={"ann": (1,)}, title="T", source="s")
    framed = [axis.spines["left"].get_visible() for axis in figure.axes]
    assert framed == [False, True, False, False, False, False]
    assert {"ann", "bob", *NAMES} <= set(texts(figure))


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

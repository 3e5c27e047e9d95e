import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from helpers import canvas, plots

NAMES = ["airplane", "automobile", "cat"]
HISTORY = {
    "epoch": [1, 2, 3],
    "loss": [1.0, 0.5, 0.2],
    "accuracy": [0.5, 0.7, 0.9],
    "val_loss": [1.1, 0.6, 0.8],
    "val_accuracy": [0.4, 0.6, 0.7],
}
IMAGES = np.arange(5 * 8 * 8 * 3, dtype=np.uint8).reshape(5, 8, 8, 3)
LABELS = np.array([0, 0, 2, 0, 2])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])


def samples(**options) -> Figure:
    return plots.sample_grid(IMAGES, LABELS, NAMES, per_class=2, title="T", source="a sample", **options)


def predicted(**options) -> Figure:
    return plots.predictions(
        IMAGES[:2], ["airplane", "cat"], PROBABILITIES, NAMES, title="T", source="a sample", **options
    )


EVERY_FIGURE = {
    "sample_grid": samples,
    "learning_curves": lambda: plots.learning_curves(HISTORY, title="T", source="a sample"),
    "confusion_matrix": lambda: plots.confusion_matrix(np.eye(3, dtype=int), NAMES, title="T", source="a sample"),
    "predictions": predicted,
    "latencies": lambda: plots.latencies(
        {"cifar": {"cold": [0.4], "warm": [0.01, 0.02]}}, title="T", source="a sample"
    ),
}


def texts(figure: Figure) -> list[str]:
    """Every text that is drawn, axes titles and tick labels included."""
    figure.draw_without_rendering()
    return [item.get_text() for item in figure.findobj(lambda artist: hasattr(artist, "get_text")) if item.get_text()]


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_every_figure_is_a_white_picture_that_names_its_source(name):
    figure = EVERY_FIGURE[name]()
    assert "Source: a sample" in texts(figure)
    assert figure.get_suptitle().startswith("T")
    picture = Image.open(io.BytesIO(figure._repr_png_())).convert("RGBA")
    assert picture.getpixel((1, picture.height // 2)) == (255, 255, 255, 255)
    assert len(picture.getcolors(1 << 24)) > 10


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_no_figure_stays_in_pyplot(name):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    EVERY_FIGURE[name]()
    assert pyplot.get_fignums() == before


def test_the_style_does_not_leak_into_the_users_own_figures():
    import matplotlib

    before = dict(matplotlib.rcParams)
    samples()
    assert dict(matplotlib.rcParams) == before


def test_a_long_title_and_source_are_wrapped_to_the_width_of_the_figure():
    figure = plots.learning_curves(HISTORY, title="word " * 40, source="word " * 60)
    figure.draw_without_rendering()
    for text in (figure._suptitle, figure._supxlabel):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height


def test_the_grid_has_a_row_for_each_class_and_leaves_missing_images_empty():
    figure = samples()
    shown = [len(axis.images) for axis in figure.axes]
    assert shown == [1, 1, 0, 0, 1, 1]
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), IMAGES[2])
    assert set(NAMES) <= set(texts(figure))


def test_the_curves_mark_the_best_validation_epoch_of_each_measure():
    figure = EVERY_FIGURE["learning_curves"]()
    assert {"best: 0.600 in epoch 2", "best: 70.0% in epoch 3"} <= set(texts(figure))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_ticks_of_epochs_are_whole_numbers(count):
    figure = plots.learning_curves({k: v[:count] for k, v in HISTORY.items()}, title="T", source="s")
    figure.draw_without_rendering()
    ticks = [tick for tick in figure.axes[0].get_xticks() if 0.5 <= tick <= count + 0.5]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_a_history_without_a_list_names_it():
    with pytest.raises(ValueError, match="lacks val_loss"):
        plots.learning_curves({k: v for k, v in HISTORY.items() if k != "val_loss"}, title="T", source="s")


def test_the_matrix_shows_its_counts_and_how_many_are_right():
    figure = plots.confusion_matrix([[1200, 3, 0], [0, 7, 0], [0, 0, 0]], NAMES, title="T", source="s")
    assert {"1,200", "3", "7"} <= set(texts(figure))
    assert figure.get_suptitle() == "T (1,207 of 1,210 right)"


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 2\); 3 class names need \(3, 3\)"):
        plots.confusion_matrix(np.eye(2), NAMES, title="T", source="s")


def test_predictions_list_the_most_probable_first_and_mark_a_wrong_one():
    figure = predicted(true_labels=["airplane", "automobile"])
    shown = texts(figure)
    assert "cat (in truth automobile)" in shown and "airplane" in shown
    first, second = figure.axes[1], figure.axes[3]
    assert [label.get_text() for label in first.get_yticklabels()] == ["airplane", "automobile", "cat"]
    assert [bar.get_width() for bar in second.patches] == [0.8, 0.1, 0.1]
    (title,) = second.findobj(lambda artist: getattr(artist, "get_text", str)() == "cat (in truth automobile)")
    assert title.get_color() == canvas.ORANGE
    colours = [[bar.get_facecolor() for bar in axis.patches] for axis in (first, second)]
    assert colours[0][0] != colours[1][0] and colours[0][1] == colours[1][1]


def test_probabilities_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match="as many class names as columns"):
        plots.predictions(IMAGES[:2], ["a", "b"], PROBABILITIES, NAMES[:2], title="T", source="s")


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_predictions_fills_the_figure(count):
    figure = plots.predictions(
        IMAGES[:count], ["cat"] * count, np.full((count, 3), 1 / 3), NAMES, title="T", source="s"
    )
    assert sum(len(axis.images) for axis in figure.axes) == count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123, "1.2 ms"), (0.0099, "9.9 ms"), (0.05, "50 ms"), (0.42, "420 ms"), (0.9999, "1 s"), (12.34, "12.3 s")],
)
def test_latencies_are_written_in_readable_units(seconds, text):
    figure = plots.latencies({"cifar": {"cold": [seconds]}}, title="T", source="s")
    assert f"cold: {text}" in texts(figure)


@pytest.mark.parametrize(("cold", "warm"), [(0.4, 0.005), (0.0085, 0.0062), (9.0, 0.0009), (2.0, 2.0)])
def test_the_latency_axis_is_logarithmic_with_ticks_and_nothing_is_cut_off(cold, warm):
    figure = plots.latencies(
        {"cifar": {"cold": [cold], "warm": [warm] * 20}, "sign-language": {"warm": [warm]}}, title="T", source="s"
    )
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    low, high = axis.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axis.get_xticks()) <= 9
    assert all(note.get_window_extent().x1 <= figure.bbox.width for note in axis.texts)


@pytest.mark.parametrize("timings", [{}, {"cifar": {"cold": [], "warm": []}}, {"cifar": {"cold": [0.0]}}])
def test_latencies_without_a_positive_time_are_refused(timings):
    with pytest.raises(ValueError, match="at least one time"):
        plots.latencies(timings, title="T", source="s")


def test_lists_of_different_lengths_are_refused_with_their_lengths():
    with pytest.raises(ValueError, match="images: 5, labels: 2"):
        plots.sample_grid(IMAGES, LABELS[:2], NAMES, title="T", source="s")

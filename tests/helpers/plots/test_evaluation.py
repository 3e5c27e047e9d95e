import numpy as np
import pytest

from helpers import plots
from tests.helpers.plots.examples import CALIBRATION, NAMES

STRENGTHS = {
    "strength": [10.0, 1.0, 0.1],
    "val_accuracy": [0.7, 0.8, 0.75],
    "difference": [0.0, 0.1, 0.05],
    "difference_interval": [[0, 0], [0.05, 0.15], [-0.01, 0.11]],
}
COMPARISON = {"gains": [2, 0, -1, 2], "difference": 0.075, "difference_interval": [-0.01, 0.15]}


def test_the_matrix_shows_its_counts_and_how_many_are_right(texts):
    figure = plots.confusion_matrix([[1200, 3, 0], [0, 7, 0], [0, 0, 0]], NAMES, title="T", source="s")
    assert {"1,200", "3", "7"} <= set(texts(figure))
    assert figure.get_suptitle() == "T (1,207 of 1,210 right)"


def test_the_matrix_shows_the_share_of_each_class_that_is_right_and_nothing_for_a_class_without_images(texts):
    shown = texts(plots.confusion_matrix([[3, 1, 0], [1, 0, 0], [0, 0, 0]], NAMES, title="T", source="s"))
    assert [text for text in shown if text.endswith("%")] == ["75%", "0%"]


def test_the_title_has_the_interval_of_the_accuracy():
    figure = plots.confusion_matrix(np.eye(3, dtype=int), NAMES, interval=[0.4385, 1.0], title="T", source="s")
    assert " ".join(figure.get_suptitle().split()) == "T (3 of 3 right, 95% interval 43.9% to 100.0%)"


@pytest.mark.parametrize("names", [["the only class"], ["a class name as long as a whole sentence", "b", "c"]])
def test_a_matrix_of_any_names_keeps_its_title_inside_the_figure(names):
    matrix = 1000 * np.eye(len(names), dtype=int)
    figure = plots.confusion_matrix(matrix, names, interval=[0.9, 0.95], title="Test images", source="s")
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_calibration_shows_each_bin_with_its_interval_and_its_images(texts):
    figure = plots.calibration(CALIBRATION, title="T", source="s")
    assert {"2", "1,234"} <= set(texts(figure))
    upper, lower = figure.axes
    (measured,) = upper.containers
    np.testing.assert_allclose(measured.lines[0].get_xydata(), [[0.36, 0.5], [0.97, 1.0]])
    (segments,) = (collection.get_segments() for collection in measured.lines[2])
    np.testing.assert_allclose([segment[:, 1] for segment in segments], [[0.09, 0.91], [0.99, 1]])
    assert [bar.get_height() for bar in lower.patches] == [2, 1234]
    assert [bar.get_x() + bar.get_width() / 2 for bar in lower.patches] == pytest.approx([0.35, 0.95])


def test_nothing_above_the_calibration_is_cut_off():
    figure = plots.calibration(CALIBRATION, title="T", source="s")
    figure.draw_without_rendering()
    box = figure.axes[0].get_legend().get_window_extent()
    assert box.x1 <= figure.bbox.width and box.y1 <= figure._suptitle.get_window_extent().y0


def test_calibration_names_its_error_and_that_of_chance():
    figure = plots.calibration(CALIBRATION, title="T", source="s")
    assert figure.get_suptitle() == "T (error 6.1%, 2.1% expected by chance)"


def test_the_gain_is_counted_by_user_and_named_with_its_interval(texts):
    figure = plots.personal_gain(STRENGTHS, COMPARISON, chosen=1.0, title="T", source="s")
    assert " ".join(figure.get_suptitle().split()) == "T (+7.5 points, 95% interval -1.0 to +15.0)"
    left, right = figure.axes
    assert [bar.get_height() for bar in right.patches] == [1, 1, 0, 2]
    assert {"-1", "0", "+1", "+2"} <= {label.get_text() for label in right.get_xticklabels()}
    line = left.get_lines()[2]
    assert line.get_ydata().tolist() == [0, 10, 5]
    # Much regularization, on the left, keeps the shared model.
    assert left.xaxis_inverted()


def test_nobody_gaining_is_a_picture_too(texts):
    nothing = {"gains": [0, 0, 0], "difference": 0.0, "difference_interval": [0.0, 0.0]}
    figure = plots.personal_gain(STRENGTHS, nothing, chosen=10.0, title="T", source="s")
    assert [bar.get_height() for bar in figure.axes[1].patches] == [0, 3, 0]

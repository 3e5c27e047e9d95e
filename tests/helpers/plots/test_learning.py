import numpy as np
import pytest

from helpers import plots
from tests.helpers.plots.examples import HISTORY, SETTINGS


def run(recipe: str, *accuracies: float, seconds: float = 10.0) -> dict[str, object]:
    return {"recipe": recipe, "seconds": [seconds] * len(accuracies), "val_accuracy": list(accuracies)}


def test_the_curves_mark_the_best_validation_epoch_of_each_measure(texts):
    figure = plots.learning_curves(HISTORY, title="T", source="s")
    assert {"best: 0.600 in epoch 2", "best: 70.0% in epoch 3"} <= set(texts(figure))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_ticks_of_epochs_are_whole_numbers(count):
    figure = plots.learning_curves({k: v[:count] for k, v in HISTORY.items()}, title="T", source="s")
    figure.draw_without_rendering()
    ticks = [tick for tick in figure.axes[0].get_xticks() if 0.5 <= tick <= count + 0.5]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_the_curves_say_how_long_an_epoch_takes_where_it_is_known(texts):
    timed = plots.learning_curves({**HISTORY, "seconds": [99.0, 12.34, 12.3]}, title="T", source="s")
    assert "epoch (12.3 s each)" in texts(timed)
    assert "epoch" in texts(plots.learning_curves(HISTORY, title="T", source="s"))


def test_a_recipe_is_the_mean_of_its_seeds_over_the_time_spent_in_a_band_of_their_range(texts):
    runs = [run("slow", 0.4, 0.6), run("fast", 0.9), run("slow", 0.5, 0.8, seconds=20)]
    figure = plots.accuracy_over_time(runs, title="T", source="s")
    first, second = figure.axes
    np.testing.assert_allclose(first.lines[-1].get_xydata(), [[15, 0.45], [30, 0.7]])
    np.testing.assert_allclose(second.lines[-1].get_xydata(), [[10, 0.9]])
    corners = first.collections[0].get_paths()[0].vertices
    assert {(15.0, 0.4), (15.0, 0.5), (30.0, 0.6), (30.0, 0.8)} <= {tuple(corner) for corner in corners.round(6)}
    shown = texts(figure)
    assert {"slow", "fast"} <= {axis.get_title(loc="left") for axis in figure.axes}
    assert {"70.0% after 30 seconds (2 seeds)", "90.0% after 10 seconds (1 seed)"} <= set(shown)
    assert "training time in seconds; gray: the other recipes" in shown


def test_long_runs_are_shown_in_minutes(texts):
    figure = plots.accuracy_over_time([run("long", 0.4, 0.6, seconds=120)], title="T", source="s")
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_xdata(), [2, 4])
    assert "training time in minutes; gray: the other recipes" in texts(figure)


def test_every_recipe_of_many_stands_out_in_a_panel_that_names_it():
    runs = [run(f"recipe {index}", 0.4, 0.5 + index / 100) for index in range(10)]
    figure = plots.accuracy_over_time(runs, title="T", source="s")
    panels = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in panels] == [each["recipe"] for each in runs]
    for index, axis in enumerate(panels):
        assert axis.lines[-1].get_ydata()[-1] == pytest.approx(0.5 + index / 100)
        assert axis.lines[-1].get_color() not in {line.get_color() for line in axis.lines[:-1]}


def test_settings_are_labelled_points_with_their_intervals(texts):
    figure = plots.cost_and_accuracy(SETTINGS, title="T", source="s", cost_label="seconds for 300 images")
    assert {"48 pixels", "96 pixels", "seconds for 300 images", "validation accuracy"} <= set(texts(figure))
    (measured,) = figure.axes[0].containers
    np.testing.assert_allclose(measured.lines[0].get_xydata(), [[2, 0.9], [8, 0.97]])
    (segments,) = (collection.get_segments() for collection in measured.lines[2])
    np.testing.assert_allclose([segment[:, 1] for segment in segments], [[0.86, 0.93], [0.94, 0.98]])


@pytest.mark.parametrize(("dearest", "scale"), [(4.0, "linear"), (200.0, "log")])
def test_costs_far_apart_get_a_logarithmic_axis_that_says_so(texts, dearest, scale):
    settings = {**SETTINGS, "224 pixels": {**SETTINGS["96 pixels"], "seconds": dearest}}
    settings["96 pixels"] = {**SETTINGS["96 pixels"], "seconds": 3.0}
    figure = plots.cost_and_accuracy(settings, title="T", source="s")
    assert figure.axes[0].get_xscale() == scale
    assert ("seconds per epoch (logarithmic)" in texts(figure)) == (scale == "log")

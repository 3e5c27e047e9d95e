import numpy as np

from helpers import plots
from helpers.plots.style import ORANGE

PICTURES = np.zeros((2, 3, 8, 8, 3), np.uint8)
NAMES = ["zero", "one", "two"]
STRENGTHS = {
    "strength": [10.0, 1.0, 0.1],
    "val_accuracy": [0.7, 0.8, 0.75],
    "difference": [0.0, 0.1, 0.05],
    "difference_interval": [[0, 0], [0.05, 0.15], [-0.01, 0.11]],
}
COMPARISON = {"gains": [2, 0, -1, 2], "difference": 0.075, "difference_interval": [-0.01, 0.15]}


def signs(**options):
    said = {"private": {"ann": (1,)}, "title": "T", "source": "s"}
    return plots.user_signs(PICTURES, ["ann", "bob"], NAMES, **{**said, **options})


def framed(axis):
    return all(spine.get_visible() and spine.get_edgecolor()[0] > 0.8 for spine in axis.spines.values())


def test_private_signs_and_no_others_are_framed(texts):
    figure = signs()
    assert ORANGE == "#d55e00"
    assert [framed(axis) for axis in figure.axes] == [False, True, False, False, False, False]
    assert {"ann", "bob", *NAMES} <= set(texts(figure))


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

"""What holds of every figure."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot
from PIL import Image

from helpers import plots
from tests.helpers.plots.examples import CALIBRATION, HISTORY, IMAGES, MISTAKES, NAMES, SETTINGS

SAID = {"title": "T", "source": "a sample"}
EVERY_FIGURE = {
    "accuracy_over_time": lambda: plots.accuracy_over_time(
        [{"recipe": "a recipe", "seconds": [1, 1], "val_accuracy": [0.3, 0.5]}], **SAID
    ),
    "calibration": lambda: plots.calibration(CALIBRATION, **SAID),
    "confusion_matrix": lambda: plots.confusion_matrix(np.eye(3, dtype=int), NAMES, **SAID),
    "cost_and_accuracy": lambda: plots.cost_and_accuracy(SETTINGS, **SAID),
    "latencies": lambda: plots.latencies({"cifar": {"cold": [0.4], "warm": [0.01, 0.02]}}, **SAID),
    "costs": lambda: plots.costs(
        [1, 10, 100], {"one instance each": [0.1, 1, 10]}, {"shared": [0.2, 0.2, 0.4]}, **SAID
    ),
    "hit_ratios": lambda: plots.hit_ratios(
        {"Che": ([0.1, 1.0], [0.4, 1.0])}, {"measured": ([0.3], [0.6])}, wanted=0.9, **SAID
    ),
    "learning_curves": lambda: plots.learning_curves(HISTORY, **SAID),
    "mistakes": lambda: plots.mistakes(MISTAKES, NAMES, **SAID),
    "personal_gain": lambda: plots.personal_gain(
        {"strength": [1.0, 0.1], "difference": [0.0, 0.1], "difference_interval": [[0, 0], [0.05, 0.15]]},
        {"gains": [1, 0, 2], "difference": 0.1, "difference_interval": [0.0, 0.2]},
        chosen=0.1,
        **SAID,
    ),
    "predictions": lambda: plots.predictions(
        IMAGES[:2], ["airplane", "cat"], np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), NAMES, **SAID
    ),
    "preprocessing": lambda: plots.preprocessing(IMAGES, {"right": {"served": 0.98, "trained": 0.97}}, **SAID),
    "sample_grid": lambda: plots.sample_grid(IMAGES, np.array([0, 0, 2, 0, 2]), NAMES, per_class=2, **SAID),
    "traffic_over_time": lambda: plots.traffic_over_time(
        np.array([0.5, 1.0, 1.5]), np.array([0.01, 0.02, 0.2]), np.array([True, True, False]), change=1.2, **SAID
    ),
    "user_signs": lambda: plots.user_signs([IMAGES[:3], IMAGES[2:]], ["a", "b"], NAMES, private={"b": [0]}, **SAID),
}


def test_every_function_is_drawn_here():
    assert sorted(EVERY_FIGURE) == sorted(plots.__all__)


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_every_figure_is_a_white_picture_that_names_its_source(name, texts):
    figure = EVERY_FIGURE[name]()
    assert "Source: a sample" in texts(figure)
    assert figure.get_suptitle().startswith("T")
    data, _ = figure._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGBA")
    assert picture.getpixel((1, picture.height // 2)) == (255, 255, 255, 255)
    assert len(picture.getcolors(1 << 24)) > 10


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_the_alternative_text_of_a_figure_says_its_title_what_is_seen_and_the_source(name):
    figure = EVERY_FIGURE[name]()
    data, metadata = DisplayFormatter().format(figure)
    alt = metadata["image/png"]["alt"]
    # A title may go on with what the figure counts; what was wrapped in the picture is one line here.
    title = figure.get_suptitle().replace("\n", " ")
    assert alt.startswith(f"{title}. ") and alt.endswith(". Source: a sample")
    seen = alt.removeprefix(f"{title}. ").removesuffix(". Source: a sample")
    assert len(seen) > 20
    if name != "sample_grid":
        assert re.search(r"\d", title + seen), "The main numbers belong into it."
    parsed = ElementTree.fromstring(data["text/html"].replace(">", "/>"))
    assert parsed.attrib == {"alt": alt, "src": f"data:image/png;base64,{data['image/png']}"}


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_no_figure_stays_in_pyplot(name):
    before = pyplot.get_fignums()
    EVERY_FIGURE[name]()
    assert pyplot.get_fignums() == before


def test_the_style_does_not_leak_into_the_users_own_figures():
    before = dict(matplotlib.rcParams)
    EVERY_FIGURE["sample_grid"]()
    assert dict(matplotlib.rcParams) == before


def test_a_long_title_and_source_are_wrapped_to_the_width_of_the_figure():
    figure = plots.learning_curves(HISTORY, title="word " * 40, source="word " * 60)
    figure.draw_without_rendering()
    for text in (figure._suptitle, figure._supxlabel):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height

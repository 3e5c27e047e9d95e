import math
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
from IPython.utils.capture import capture_output
from nbformat import v4

from helpers import results


def executed(folder: Path, *tables: dict) -> Path:
    """Write a notebook whose cells hold what record(…) displayed for each table of values."""
    cells = []
    for values in tables:
        with capture_output() as captured:
            results.record(**values)
        outputs = [v4.new_output("display_data", data=output.data) for output in captured.outputs]
        cells.append(v4.new_code_cell("results.record(…)", outputs=outputs))
    path = folder / "executed.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture(autouse=True)
def shell():
    """Displaying outputs as a notebook does needs IPython's shell, which the tests run without."""
    from IPython.core.interactiveshell import InteractiveShell

    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_values_come_back_as_they_were_recorded(tmp_path):
    values = {"cifar_test_accuracy": 0.8125, "cifar_source": "generated sample", "models": ["cifar", "x"], "n": 3}
    assert results.read(executed(tmp_path, values)) == values


def test_numpy_values_become_plain_ones(tmp_path):
    path = executed(
        tmp_path, {"accuracy": np.float32(0.5), "count": np.int64(7), "right": np.bool_(True), "m": np.eye(2)}
    )
    values = results.read(path)
    assert values == {"accuracy": 0.5, "count": 7, "right": True, "m": [[1.0, 0.0], [0.0, 1.0]]}
    assert type(values["right"]) is bool


def test_whole_numbers_are_written_as_javascript_writes_them(tmp_path):
    values = results.read(executed(tmp_path, {"ratio": 1.0, "rates": [2400.0, -0.0, 0.5], "huge": 1e300}))
    assert str(values) == "{'huge': 1e+300, 'rates': [2400, 0, 0.5], 'ratio': 1}"


def test_tables_of_several_cells_are_merged_and_the_last_value_wins(tmp_path):
    assert results.read(executed(tmp_path, {"a": 1, "b": 1}, {"b": 2, "c": 3})) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        *(
            ({"test_accuracy": bad}, ValueError, r"test_accuracy is .*(nan|inf)")
            for bad in (math.nan, math.inf, np.float32("nan"), [0.1, math.nan], {"x": -math.inf})
        ),
        ({"model": object()}, TypeError, "model is of type object"),
        ({}, ValueError, "Nothing to record"),
    ],
)
def test_what_cannot_be_recorded_is_refused_by_name(values, error, words):
    with pytest.raises(error, match=words):
        results.record(**values)


def test_the_table_is_readable_as_text_and_escaped_as_html():
    with capture_output() as captured:
        results.record(cifar_source="<b>CIFAR-10</b>", count=50000, accuracy=0.81234)
    data = captured.outputs[0].data
    assert "count         50,000" in data["text/plain"]
    assert "0.8123" in data["text/plain"]
    assert "&lt;b&gt;CIFAR-10" in data["text/html"]


def test_a_table_has_a_column_for_each_name_and_readable_numbers():
    table = results.Table({"<cold>": {"median, ms": 67.12977, "calls": 48}, "warm": {"calls": 1200}}, heading="state")
    assert repr(table).splitlines() == [
        "state   median, ms  calls",
        "<cold>  67.13       48",
        "warm                1,200",
    ]
    parsed = ElementTree.fromstring(table._repr_html_())
    assert [[cell.text or "" for cell in row] for row in parsed.iter("tr")] == [
        ["state", "median, ms", "calls"],
        ["<cold>", "67.13", "48"],
        ["warm", "", "1,200"],
    ]


def test_accuracies_are_in_percent_with_their_intervals():
    evaluations = {
        "test": {"accuracy": 0.96, "accuracy_interval": [0.8654, 0.98904], "count": 5000, "mistake_count": 2},
        "by_student": {"accuracy": 1, "accuracy_interval": [0.9, 1.0]},
    }
    assert repr(results.accuracies(evaluations, heading="images of")).splitlines() == [
        "images of   accuracy  95% interval     images",
        "test        96.0%     86.5% to 98.9%   5,000",
        "by_student  100.0%    90.0% to 100.0%",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (np.float64(0.81234), "0.8123"),
        (12345.6, "12,346"),
        ([1000, "a"], "1,000, a"),
        ({"a": 1, "b": [0.5]}, "a: 1, b: 0.5"),
        *((nothing, "none") for nothing in (None, [], (), {}, np.zeros(0))),
        (0, "0"),
    ],
)
def test_a_value_is_shown_as_a_reader_likes_it(value, text):
    assert results.shown(value) == text


def test_a_notebook_without_results_recorded_nothing(tmp_path):
    assert results.read(executed(tmp_path)) == {}

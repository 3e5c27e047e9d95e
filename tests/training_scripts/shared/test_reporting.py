"""The epoch line, and the files."""

import json

import numpy as np
import pytest

from shared import reporting
from shared.evaluation import confusion_matrix, evaluate, most_confident_mistakes
from shared.inputs import Split, Splits
from shared.reporting import EpochReporter, write_reports

LOGS = {"loss": 1.23456, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.6}


@pytest.fixture
def reporter():
    reporter = EpochReporter()
    reporter.set_params({"epochs": 12})
    return reporter


def test_an_epoch_is_one_line(reporter, capsys, monkeypatch):
    clock = iter([100.0, 112.34])
    monkeypatch.setattr("shared.reporting.time.perf_counter", lambda: next(clock))
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


@pytest.fixture
def written(tmp_path):
    """The folder after a report on a validation set with one mistake and a test set without."""
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    split = Split(images=images, labels=np.array([0, 1]))
    wrong, right = (np.array([[0.9, 0.1], second], np.float32) for second in ([0.8, 0.2], [0.3, 0.7]))
    description = {"class_names": ["a", "b"]}
    splits, provenance = (
        Splits(train=split, validation=split, test=split, description=description),
        {"data": description},
    )
    history = {"epoch": [1], "loss": [0.5]}
    folder = tmp_path / "new" / "data"
    evaluation = write_reports(
        folder, splits=splits, history=history, probabilities=[wrong, right], provenance=provenance
    )
    return folder, {"history": history, "evaluation": evaluation, "provenance": provenance}, split, (wrong, right)


def test_reports_are_three_files_and_the_mistakes_of_two_splits(written):
    folder, reports, _, _ = written
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {f"{name}.json" for name in reports} | {"mistakes/validation.npz", "mistakes/test.npz"}
    assert {name: json.loads((folder / f"{name}.json").read_text()) for name in reports} == reports


def test_the_evaluation_has_both_splits_and_the_matrix_of_the_test_images_only(written):
    _, reports, split, (wrong, right) = written
    assert reports["evaluation"] == {
        "validation": evaluate(split.labels, wrong),
        "test": {**evaluate(split.labels, right), "confusion_matrix": confusion_matrix(split.labels, right)},
        "class_names": ["a", "b"],
    }


def test_the_mistakes_are_arrays_that_hold_no_objects(written):
    folder, _, split, answers = written
    for name, probabilities in zip(("validation", "test"), answers, strict=True):
        expected = most_confident_mistakes(split.images, split.labels, probabilities)
        with np.load(folder / "mistakes" / f"{name}.npz", allow_pickle=False) as arrays:
            assert set(arrays) == set(expected)
            for key, values in expected.items():
                np.testing.assert_array_equal(arrays[key], values)
                assert arrays[key].shape == values.shape


def test_the_processor_is_told_by_architecture_and_vector_extensions(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx512f sse avx2 fma\n\nprocessor\t: 1\n")
    monkeypatch.setattr(reporting, "_CPU_INFO", path)
    assert reporting._describe_processor()["extensions"] == ["avx2", "fma", "avx512f"]
    monkeypatch.setattr(reporting, "_CPU_INFO", tmp_path / "none")
    processor = reporting._describe_processor()
    assert processor["architecture"] and processor["extensions"] == []

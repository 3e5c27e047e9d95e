"""The CIFAR-10 script: its network, its repeatability, its refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import cifar_train

SCRIPT = Path(cifar_train.__file__)


@pytest.fixture(scope="module")
def model():
    return cifar_train.build_model(image_size=32, class_count=10, width=8, dense_units=16, dropout=0.5)


def test_the_network_has_three_convolutional_and_two_dense_layers(model):
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == 3
    assert kinds.count(keras.layers.Dense) == 2
    assert model.output_shape == (None, 10)


def test_rescaling_is_part_of_the_network(model):
    rescaling = next(layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    assert np.array(rescaling(np.array([0.0, 255.0]))).tolist() == [-1, 1]


def test_another_seed_gives_another_history(cifar_run, cifar_data, call_main):
    """That the same seed gives the same bits is tested in test_checkpoints.py."""
    error, model_folder = call_main(
        cifar_train.main, "--data-dir", cifar_data, "--epochs", 2, "--batch-size", 16, "--width", 8, "--seed", 4
    )
    assert error is None
    history = json.loads((model_folder.parent / "output" / "history.json").read_text())
    assert history["loss"] != pytest.approx(cifar_run.report("history")["loss"], rel=1e-3)


def test_a_folder_without_data_is_named_with_the_next_step(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
    folders = ["--data-dir", tmp_path, "--model-dir", tmp_path / "model", "--output-data-dir", tmp_path / "o"]
    finished = subprocess.run([sys.executable, SCRIPT, *folders], env=environment, capture_output=True, text=True)
    assert finished.returncode == 1
    assert finished.stderr.strip().splitlines()[-1].endswith("as the channel 'training' of the job.")
    assert "Run 01_prepare_data first" in finished.stderr
    assert not (tmp_path / "model").exists()


def test_an_exception_in_training_leaves_no_model(cifar_data, call_main, monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: 1 / 0)
    error, model_folder = call_main(cifar_train.main, "--data-dir", cifar_data, "--width", 4, "--batch-size", 16)
    assert isinstance(error, ZeroDivisionError)
    assert not model_folder.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--data-dir"),
        (["--data-dir", "x", "--epoch", "2"], "unrecognized arguments: --epoch 2"),
        (["--data-dir", "x", "--epochs", "0"], "pass an integer of at least 1"),
        (["--data-dir", "x", "--dropout", "1"], "pass a number from 0 up to 1"),
        (["--data-dir", "x", "--learning-rate", "nan"], "pass a finite number above 0"),
    ],
)
def test_wrong_arguments_are_refused(call_main, capsys, arguments, sentence):
    error, model_folder = call_main(cifar_train.main, *arguments)
    assert isinstance(error, SystemExit) and error.code == 2
    assert sentence in capsys.readouterr().err
    assert not model_folder.exists()

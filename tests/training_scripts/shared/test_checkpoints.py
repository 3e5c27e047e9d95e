"""Interrupted trainings: what a checkpoint brings back, and what it refuses."""

import copy
import dataclasses
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from shared import checkpoints
from shared.checkpoints import Checkpoint, CheckpointError

pytestmark = pytest.mark.slow

SCRIPTS = Path(checkpoints.__file__).parents[1]
END_ITSELF = str(Path(__file__).parent / "job_scripts" / "end_itself.py")
PROVENANCE = {
    "data": {"fingerprint": "a" * 64, "class_names": ["x", "y"]},
    "weights": {"provenance": "none", "description": "trained from scratch"},
    "seed": 1,
    "threads": 2,
    "ranks": 1,
    "hyperparameters": {"epochs": 3, "batch_size": 4},
    "versions": {"python": "3.11", "tensorflow": "2.21", "keras": "3.15", "numpy": "2.3"},
}


def state(folder):
    """Everything of a checkpoint but its record, as bytes."""
    arrays = checkpoints._read(folder / checkpoints.FILE)
    return {name: array.tobytes() for name, array in arrays.items() if name != "record"}


def record(folder):
    return json.loads(checkpoints._read(folder / checkpoints.FILE)["record"].item())


def build(seed=1, units=4):
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((3,))
    x = layers.BatchNormalization()(layers.Dense(units)(x))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Dropout(0.5)(x)))
    model.compile(keras.optimizers.AdamW(0.1), "categorical_crossentropy")
    return model


class Kept(keras.callbacks.Callback):
    """A history as `EpochReporter` keeps it."""

    def __init__(self):
        super().__init__()
        self.history = {"epoch": [], "loss": []}

    def on_epoch_end(self, epoch, logs=None):
        self.history["epoch"].append(epoch + 1)
        self.history["loss"].append(logs["loss"])


def train(folder, *, epochs=3, provenance=PROVENANCE, model=None):
    """Train to the end of an epoch, from the checkpoint if there is one."""
    model, kept = model or build(), Kept()
    checkpoint = Checkpoint(folder, provenance=provenance, history=kept.history)
    first_epoch = checkpoint.restore(model)
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(8, 3)), np.eye(2)[np.arange(8) % 2]
    model.fit(inputs, targets, initial_epoch=first_epoch, epochs=epochs, batch_size=4, shuffle=False, verbose=0,
              callbacks=[kept, checkpoint])  # fmt: skip
    return first_epoch, kept.history, checkpoint.resumed_at


def test_a_resumed_training_ends_in_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole")
    assert train(tmp_path / "parts", epochs=1)[0] == 0
    assert train(tmp_path / "parts", epochs=2)[0] == 1
    first_epoch, history, resumed_at = train(tmp_path / "parts")
    assert (first_epoch, resumed_at) == (2, [2, 3])
    assert (0, history, []) == whole
    assert state(tmp_path / "parts") == state(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["checkpoint"]


def test_a_finished_training_trains_no_more(tmp_path):
    _, history, _ = train(tmp_path)
    before = (tmp_path / "checkpoint").stat().st_mtime_ns
    assert train(tmp_path) == (3, history, [])
    assert (tmp_path / "checkpoint").stat().st_mtime_ns == before


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(None)
    assert train(None)[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "value", "difference"),
    [
        (("data", "fingerprint"), "b" * 64, f"the fingerprint of the data is {'a' * 64} there and {'b' * 64} here"),
        (("data", "class_names"), ["y", "x"], "the list of classes is"),
        (("weights", "provenance"), "imagenet", "the start of the weights is none there and imagenet here"),
        (("hyperparameters", "batch_size"), 8, "--batch-size is 4 there and 8 here"),
        (("hyperparameters", "new"), 1, "--new is None there and 1 here"),
        (("seed",), 2, "--seed is 1 there and 2 here"),
        (("threads",), 4, "the number of threads (--threads) is 2 there and 4 here"),
        (("versions", "keras"), "4", "the version of Keras is 3.15 there and 4 here"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_with_the_way_out(tmp_path, keys, value, difference):
    train(tmp_path, epochs=1)
    kept = (tmp_path / "checkpoint").read_bytes()
    other = copy.deepcopy(PROVENANCE)
    part = other
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    with pytest.raises(CheckpointError) as refusal:
        train(tmp_path, provenance=other)
    assert difference in str(refusal.value)
    assert "pass another --checkpoint-dir, or remove the file" in str(refusal.value)
    assert (tmp_path / "checkpoint").read_bytes() == kept


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="its model has other layers"):
        train(tmp_path, model=build(units=5))


def test_another_python_or_description_goes_on(tmp_path):
    train(tmp_path, epochs=1)
    other = copy.deepcopy(PROVENANCE)
    other["versions"]["python"], other["data"]["source"] = "3.12", "Elsewhere."
    assert train(tmp_path, provenance=other)[0] == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_checkpoint_is_told_and_training_starts_anew(tmp_path, damage, capsys):
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", epochs=2)
    path = tmp_path / "parts" / "checkpoint"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"empty": b"", "cut": content[:-1], "flipped": content}[damage])
    assert train(tmp_path / "parts") == whole
    assert f"checkpoint: {path} is damaged; training starts with epoch 1" in capsys.readouterr().out
    assert state(tmp_path / "parts") == state(tmp_path / "whole")


def test_an_end_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    train(tmp_path, epochs=1)

    def end(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", end)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.undo()
    assert record(tmp_path)["epoch"] == 1
    train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_generators_of_another_rank_keep_their_seed_and_take_the_counter(tmp_path):
    train(tmp_path, epochs=2)
    [own] = [v for v in build(seed=2).variables if "seed" in v.path]
    model = build(seed=2)
    Checkpoint(tmp_path, provenance=PROVENANCE, history={}).restore(model)
    [generator] = [v for v in model.variables if "seed" in v.path]
    assert generator.numpy().tolist() == [own.numpy()[0], 4]


def test_a_killed_script_goes_on_and_exports_the_same_bits(training, whole_run, tmp_path):
    """SIGKILL in the middle of the last epoch, then the same command again."""
    folder = tmp_path / "checkpoints"
    arguments = (*training.arguments, "--checkpoint-dir", str(folder))
    killed = dataclasses.replace(training, script=END_ITSELF, arguments=(training.script, "2", *arguments))
    run = killed.run(tmp_path)
    assert run.exit_code == -9 and not run.model.exists()
    assert record(folder)["epoch"] == 2

    resumed = dataclasses.replace(training, arguments=arguments).run(tmp_path)
    assert resumed.exit_code == 0, resumed.stderr
    assert "checkpoint: 2 of 3 epochs are done" in resumed.stdout
    assert [line.split()[1] for line in resumed.stdout.splitlines() if line.startswith("epoch ")] == ["3/3"]
    assert state(folder) == state(whole_run.model.parent / "checkpoints")
    assert resumed.exported_variables() == whole_run.exported_variables()
    history, expected = resumed.report("history"), whole_run.report("history")
    assert history | {"seconds": 0} == expected | {"seconds": 0}
    assert resumed.report("evaluation") == whole_run.report("evaluation")
    provenance = resumed.report("provenance")
    assert provenance == whole_run.report("provenance") | {"resumed_at": [3]}
    card = json.loads((resumed.model / "1" / "assets.extra" / "model.json").read_text())
    assert card["provenance"] == provenance


def test_a_finished_script_started_again_only_evaluates_and_exports(training, whole_run, tmp_path):
    if training.script != "cifar_train.py":
        pytest.skip("the same code in both scripts")
    folder = str(whole_run.model.parent / "checkpoints")
    again = training.run(tmp_path, "--checkpoint-dir", folder)
    assert again.exit_code == 0, again.stderr
    assert "checkpoint: 3 of 3 epochs are done" in again.stdout and "\nepoch " not in again.stdout
    assert "UserWarning" not in again.stderr
    assert again.exported_variables() == whole_run.exported_variables()
    for name in ("history", "evaluation", "provenance"):
        assert again.report(name) == whole_run.report(name)


def run_ranks(mpirun, count, data, folder, checkpoint_folder, *, end_in=None):
    """Run the first script with so many ranks; return the process, which has ended."""
    script = [END_ITSELF, "cifar_train.py", str(end_in)] if end_in is not None else [SCRIPTS / "cifar_train.py"]
    arguments = ["--epochs", "2", "--batch-size", "16", "--width", "4", "--threads", "1", "--dropout", "0.5",
                 "--data-dir", data, "--model-dir", folder / "model", "--output-data-dir", folder / "output",
                 "--checkpoint-dir", checkpoint_folder]  # fmt: skip
    return mpirun(count, *script, *arguments)


@pytest.fixture(scope="module")
def interrupted(mpirun, cifar_data, tmp_path_factory):
    """The checkpoint of a training with two ranks that were killed in its second and last epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    assert run_ranks(mpirun, 2, cifar_data, folder, folder / "kept", end_in=1).returncode != 0
    assert record(folder / "kept")["epoch"] == 1
    return folder / "kept"


def test_two_ranks_go_on_with_their_own_noise(mpirun, cifar_data, interrupted, tmp_path):
    folder = shutil.copytree(interrupted, tmp_path / "parts")
    for kept in (tmp_path / "whole", folder):
        finished = run_ranks(mpirun, 2, cifar_data, tmp_path, kept)
        assert finished.returncode == 0, finished.stderr
    assert record(folder)["resumed_at"] == [2]
    assert state(folder) == state(tmp_path / "whole")


@pytest.mark.parametrize("count", [1, 4])
def test_another_number_of_ranks_goes_on(mpirun, cifar_data, interrupted, tmp_path, count):
    folder = shutil.copytree(interrupted, tmp_path / "parts")
    finished = run_ranks(mpirun, count, cifar_data, tmp_path, folder)
    assert finished.returncode == 0, finished.stderr
    assert [line.split()[1] for line in finished.stdout.splitlines() if line.startswith("epoch ")] == ["2/2"]
    assert json.loads((tmp_path / "output" / "provenance.json").read_text())["ranks"] == count
    assert record(folder)["epoch"] == 2

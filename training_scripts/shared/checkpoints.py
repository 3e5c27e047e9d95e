"""Checkpoints: an interrupted training goes on after its last whole epoch, and ends as if nothing had happened."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

FILE = "checkpoint"


class CheckpointError(ValueError):
    """The checkpoint is that of another training."""


class Checkpoint(keras.callbacks.Callback):
    """Keep the state of a training at the end of each epoch, and give it back when the training starts again.

    The one file is replaced at once: whenever the process ends, a whole checkpoint is there. That is all that SIGTERM
    needs, which announces the end of a spot instance or of a stopped job. `resumed_at` has the first epoch, counted
    from 1, of each later start that had something to train.

    ``keras.callbacks.BackupAndRestore`` (Keras 3.15) would not do: it keeps neither the random generators of the layers
    nor the history, writes its files in place, and continues whatever training left them.
    """

    def __init__(self, folder: Path | None, *, provenance: dict[str, Any], history: dict[str, list[float]]) -> None:
        """Keep a checkpoint in a folder, which is created if missing, or none.

        `provenance` is what ``reporting.describe_provenance`` collects, and `history` what ``EpochReporter`` keeps.
        That must have an epoch by the time this callback sees its end, so the reporter stands before this one in the
        callbacks.
        """
        super().__init__()
        self.resumed_at: list[int] = []
        self._path = folder / FILE if folder else None
        self._identity = identify(provenance)
        self._epochs = provenance["hyperparameters"]["epochs"]
        self._history = history

    def restore(self, model: keras.Model) -> int:
        """Fill a compiled model and the history from the checkpoint, if there is one.

        A damaged checkpoint is said and not used, for nobody may be there to remove it, and training from the start
        leads to the same model.

        Returns:
            The epoch to go on with, from 0: ``initial_epoch`` of `fit`, and ``first_epoch`` of the batches.

        Raises:
            CheckpointError: The checkpoint is that of another training.
        """
        if self._path is None:
            return 0
        model.optimizer.build(model.trainable_variables)
        if not self._path.exists():
            return 0
        arrays = _read(self._path)
        if arrays is None:
            print(f"checkpoint: {self._path} is damaged; training starts with epoch 1", flush=True)
            return 0
        record = json.loads(arrays.pop("record").item())
        self._check(record["identity"])
        self._fill(model, arrays)
        self._history.update(record["history"])
        epoch: int = record["epoch"]
        self.resumed_at = record["resumed_at"] + ([epoch + 1] if epoch < self._epochs else [])
        print(f"checkpoint: {epoch} of {self._epochs} epochs are done, as {self._path} says", flush=True)
        return epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Replace the checkpoint."""
        if self._path is None:
            return
        record = {
            "identity": self._identity,
            "epoch": epoch + 1,
            "history": self._history,
            "resumed_at": self.resumed_at,
        }
        arrays = {name: variable.numpy() for name, variable in _variables(self.model).items()}
        _write(self._path, arrays | {"record": np.array(json.dumps(record))})

    def _check(self, identity: dict[str, Any]) -> None:
        differences = [
            f"{name} is {identity.get(name)} there and {self._identity.get(name)} here"
            for name in self._identity | identity
            if identity.get(name) != self._identity.get(name)
        ]
        if differences:
            raise self._foreign("; ".join(differences))

    def _fill(self, model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
        variables = _variables(model)
        if {name: tuple(v.shape) for name, v in variables.items()} != {name: a.shape for name, a in arrays.items()}:
            raise self._foreign("its model has other layers")
        for name, variable in variables.items():
            value = arrays[name]
            if name.startswith("generator"):
                # A generator's state is its seed and a counter. The seed stays, for each rank has its own.
                value = np.array([variable.numpy()[0], value[1]])
            variable.assign(value)

    def _foreign(self, difference: str) -> CheckpointError:
        return CheckpointError(
            f"The checkpoint {self._path} is that of another training: {difference}. Start with what it was started "
            "with to go on with it. For a new training, pass another --checkpoint-dir, or remove the file; in a "
            "training job, choose another place in S3 for its checkpoints."
        )


def identify(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the outcome of a training, of its provenance, by names that a person understands.

    Versions of Python and NumPy are left out: they only carry the numbers. So is the number of ranks: another one takes
    the same steps but for rounding and noise. So is the script itself, because a training must be able to go on after a
    mistake in it was corrected.
    """
    data, weights, versions = provenance["data"], provenance["weights"], provenance["versions"]
    arguments = {"--" + name.replace("_", "-"): value for name, value in provenance["hyperparameters"].items()}
    return {
        "the fingerprint of the data": data.get("fingerprint"),
        "the list of classes": data["class_names"],
        "the start of the weights": weights.get("sha256", weights["provenance"]),
        "--seed": provenance["seed"],
        **arguments,
        "the number of threads (--threads)": provenance["threads"],
        "the version of TensorFlow": versions["tensorflow"],
        "the version of Keras": versions["keras"],
    }


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return all that training changes: weights, statistics and optimizer, and the states of random generators."""
    kept = [*model.weights, *model.optimizer.variables]
    known = {id(variable) for variable in kept}
    generators = [variable for variable in model.variables if id(variable) not in known]
    # Numbers, because Keras names a variable by what else the process has built.
    return {f"variable {index}": variable for index, variable in enumerate(kept)} | {
        f"generator {index}": variable for index, variable in enumerate(generators)
    }


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays; the file appears whole, or the one before stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # none of them is called allow_pickle
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays, or None if they are not what was written, as the archive's checksums tell."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (ValueError, EOFError, zipfile.BadZipFile):
        return None

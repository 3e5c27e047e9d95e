"""What a training job says while it runs, and the three reports that it leaves behind."""

import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


class EpochReporter(keras.callbacks.Callback):
    """Print one line per epoch and keep the numbers.

    The form of the line is a contract: the metric definitions of the training job read it from the log.

    Attributes:
        history: Lists of equal length: epoch (from 1), loss, accuracy, val_loss, val_accuracy, seconds.
    """

    def __init__(self) -> None:
        """Start with an empty history."""
        super().__init__()
        self.history: dict[str, list[float]] = {name: [] for name in ("epoch", *METRICS, "seconds")}
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print and keep the numbers of the epoch.

        Raises:
            ArithmeticError: A loss is no longer a finite number.
        """
        values = {name: float(logs[name]) for name in METRICS}
        if not all(math.isfinite(value) for value in values.values()):
            raise ArithmeticError(
                f"The loss became {values['loss']} (validation: {values['val_loss']}) in epoch {epoch + 1}. "
                "Train again with a lower --learning-rate."
            )
        seconds = round(time.perf_counter() - self._started, 1)
        for name, value in {"epoch": epoch + 1, **values, "seconds": seconds}.items():
            self.history[name].append(value)
        numbers = " ".join(f"{name}={value:.4f}" for name, value in values.items())
        print(f"epoch {epoch + 1}/{self.params['epochs']} {numbers} seconds={seconds}", flush=True)


def evaluate(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Compare predictions with the truth.

    Args:
        labels: int64 array of shape (N,).
        probabilities: float32 array of shape (N, C).

    Returns:
        ``accuracy`` (0 to 1), ``count`` (N) and ``confusion_matrix``: C lists of C counts, one list per
        true class, one count per predicted class.
    """
    class_count = probabilities.shape[1]
    predictions = probabilities.argmax(axis=1)
    confusion_matrix = np.zeros((class_count, class_count), dtype=np.int64)
    np.add.at(confusion_matrix, (labels, predictions), 1)
    return {
        "accuracy": float((predictions == labels).mean()),
        "count": len(labels),
        "confusion_matrix": confusion_matrix.tolist(),
    }


def describe_origin(
    *, data: dict[str, Any], weights: dict[str, Any], seed: int, hyperparameters: dict[str, Any]
) -> dict[str, Any]:
    """Collect what a model was made from, so that it can be made again.

    Args:
        data: The content of ``dataset.json``.
        weights: Where the initial weights come from: ``origin`` and ``description``.
        seed: Seed of the training.
        hyperparameters: The other arguments of the script.
    """
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
    return {
        "data": data,
        "weights": weights,
        "seed": seed,
        "hyperparameters": hyperparameters,
        "versions": versions,
    }


def write_reports(
    folder: Path,
    *,
    history: dict[str, list[float]],
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """Write ``history.json``, ``evaluation.json`` and ``provenance.json``.

    Args:
        folder: Where to; created if missing. A training job packs it as ``output.tar.gz``.
        history: What :class:`EpochReporter` kept.
        validation: Labels (N,) and probabilities (N, C) of the validation images.
        test: Labels (N,) and probabilities (N, C) of the test images.
        provenance: What :func:`describe_origin` collected.

    Returns:
        The content of ``evaluation.json``.
    """
    evaluation = {
        "validation": evaluate(*validation),
        "test": evaluate(*test),
        "class_names": provenance["data"]["class_names"],
    }
    # The test images alone show which classes are mistaken: choices were made by the validation images.
    del evaluation["validation"]["confusion_matrix"]
    folder.mkdir(parents=True, exist_ok=True)
    reports = {"history": history, "evaluation": evaluation, "provenance": provenance}
    for name, content in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return evaluation

"""What a training job says while it runs, and the reports that it leaves behind."""

import argparse
import json
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared import ranks
from shared.arguments import hyperparameters
from shared.evaluation import confusion_matrix, evaluate, most_confident_mistakes
from shared.inputs import Splits

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
# What decides which of oneDNN's kernels run, and so the last bits of their sums.
_EXTENSIONS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
_CPU_INFO = Path("/proc/cpuinfo")


class EpochReporter(keras.callbacks.Callback):
    """Print one line per epoch and keep the numbers.

    The form of the line is a contract: whoever follows the log reads it. `history` has lists of equal length: epoch
    (from 1), loss, accuracy, val_loss, val_accuracy, seconds.
    """

    def __init__(self) -> None:
        """Start with an empty history."""
        super().__init__()
        self.history: dict[str, list[float]] = {name: [] for name in ("epoch", *METRICS, "seconds")}
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
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


def describe_provenance(
    arguments: argparse.Namespace, splits: Splits, *, weights: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Say where the first weights come from, and collect what a model is made from, so that it can be made again.

    Args:
        arguments: Those of the script, after ``fitting.begin``.
        splits: The data set.
        weights: Where the first weights come from, ``provenance`` and ``description``; None for random ones.

    Returns:
        ``data`` (the content of ``dataset.json``), ``weights``, ``seed``, ``threads`` that share an operation,
        ``ranks`` that train together, ``hyperparameters`` (the other arguments), ``versions`` and ``processor``.
    """
    weights = weights or {"provenance": "none", "description": "trained from scratch"}
    print(f"weights: {weights['provenance']}: {weights['description']}", flush=True)
    return {
        "data": splits.description,
        "weights": weights,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "ranks": ranks.count(),
        "hyperparameters": hyperparameters(arguments),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "processor": _describe_processor(),
    }


def write_reports(
    folder: Path,
    *,
    splits: Splits,
    history: dict[str, list[float]],
    probabilities: Sequence[np.ndarray],
    provenance: dict[str, Any],
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``history.json``, ``evaluation.json``, ``provenance.json`` and the pictures of ``mistakes/``.

    A training job packs the folder as ``output.tar.gz``.

    Args:
        folder: Where to; created if missing.
        splits: The data set.
        history: What `EpochReporter` kept.
        probabilities: What the model gave the validation and the test images, (N, C) each.
        provenance: What `describe_provenance` collected.
        more: Further entries of ``evaluation.json``.

    Returns:
        The content of ``evaluation.json``.
    """
    evaluation = {"class_names": provenance["data"]["class_names"], **(more or {})}
    (folder / "mistakes").mkdir(parents=True, exist_ok=True)
    names, parts = ("validation", "test"), (splits.validation, splits.test)
    for name, split, given in zip(names, parts, probabilities, strict=True):
        evaluation[name] = evaluate(split.labels, given)
        mistakes = most_confident_mistakes(split.images, split.labels, given)
        # The type is ignored because none of the arrays is called allow_pickle.
        np.savez_compressed(folder / "mistakes" / f"{name}.npz", **mistakes)  # type: ignore[arg-type]
    # The test images alone show which classes are mistaken: choices were made by the validation images.
    evaluation["test"]["confusion_matrix"] = confusion_matrix(splits.test.labels, probabilities[1])
    reports = {"history": history, "evaluation": evaluation, "provenance": provenance}
    for name, content in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return evaluation


def _describe_processor() -> dict[str, str | list[str]]:
    """Return the architecture and the vector extensions of the processor: another kind ends in other last bits."""
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return {"architecture": platform.machine(), "extensions": [name for name in _EXTENSIONS if name in flags]}

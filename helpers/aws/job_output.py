"""What a training job leaves in ``output.tar.gz``: its reports, and pictures of its mistakes.

The archive comes out of a job, which may have run any script. So nothing in it is executed or unpacked to disk,
and nothing grows beyond a limit in memory.
"""

import io
import json
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

REPORTS = ("history", "evaluation", "provenance")
SPLITS = ("validation", "test")
MIB = 1024 * 1024
LARGEST_REPORT, LARGEST_MISTAKES = 16 * MIB, 64 * MIB


class OutputError(ValueError):
    """The archive lacks a file, or holds one that is not what its name promises; the message names it."""


@dataclass(frozen=True)
class Mistakes:
    """The images of one split on which the model was wrong and most sure of it, the surest first.

    Attributes:
        images: uint8 array of shape (M, H, W, 3). M is 0 for a model without mistakes.
        indices: int array of shape (M,): the places of the images in the split.
        labels: int array of shape (M,): the true classes.
        predictions: int array of shape (M,): the predicted classes.
        probabilities: float array of shape (M, C).
        count: All mistakes in the split, of which M are kept.
        image_count: All images in the split.
    """

    images: np.ndarray
    indices: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray
    count: int
    image_count: int


def read(archive: bytes) -> dict[str, Any]:
    """Read the reports and the mistakes.

    Args:
        archive: The content of ``output.tar.gz``.

    Returns:
        ``history``, ``evaluation`` and ``provenance`` as the script wrote them, and ``mistakes``: those of the
        validation and of the test images, by split.

    Raises:
        OutputError: A file is missing, too large, or not what its name promises.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            documents = {name: _report(files, f"{name}.json") for name in REPORTS}
            mistakes = {name: _mistakes(files, name, documents["evaluation"]) for name in SPLITS}
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise OutputError(f"output.tar.gz is no archive that can be read: {error}") from error
    return {**documents, "mistakes": mistakes}


def _report(files: tarfile.TarFile, name: str) -> dict[str, Any]:
    try:
        document = json.loads(_content(files, name, LARGEST_REPORT))
    except ValueError as error:
        raise OutputError(f"{name}: {error}") from error
    if not isinstance(document, dict):
        raise OutputError(f"{name} is no JSON object.")
    return document


def _mistakes(files: tarfile.TarFile, split: str, evaluation: dict[str, Any]) -> Mistakes:
    name = f"mistakes/{split}.npz"
    content = _content(files, name, LARGEST_MISTAKES)
    try:
        arrays = _arrays(content)
        part = evaluation[split]
        mistakes = Mistakes(**arrays, count=int(part["mistake_count"]), image_count=int(part["count"]))
        problem = _problem(mistakes, len(evaluation["class_names"]))
    except (KeyError, TypeError, ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{name} or its part of evaluation.json cannot be read: {error!r}") from error
    if problem:
        raise OutputError(f"{name} holds {problem}.")
    return mistakes


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Compressed arrays can be far larger than their file.
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST_MISTAKES:
        raise ValueError(f"{size / MIB:,.0f} MiB of arrays, where {LARGEST_MISTAKES // MIB} are the limit")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("images", "indices", "labels", "predictions", "probabilities")}


def _content(files: tarfile.TarFile, name: str, limit: int) -> bytes:
    try:
        member = files.getmember(name)
    except KeyError as error:
        raise OutputError(f"{name} is missing.") from error
    file = files.extractfile(member) if member.isfile() and member.size <= limit else None
    if file is None:
        raise OutputError(f"{name} is no file of at most {limit // MIB} MiB.")
    return file.read()


def _problem(mistakes: Mistakes, class_count: int) -> str | None:
    """Name what contradicts the form of the arrays, if anything does."""
    images = mistakes.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        return f"{images.dtype} images of shape {images.shape}, not uint8 of shape (M, H, W, 3)"
    amount = len(images)
    for name in ("indices", "labels", "predictions"):
        values = getattr(mistakes, name)
        if values.dtype.kind != "i" or values.shape != (amount,):
            return f"{values.dtype} {name} of shape {values.shape}, not integers of shape ({amount},)"
    classes = np.concatenate([mistakes.labels, mistakes.predictions])
    if amount and not (classes.min() >= 0 and classes.max() < class_count):
        return f"classes from {classes.min()} to {classes.max()}, not 0 to {class_count - 1}"
    values = mistakes.probabilities
    if values.dtype.kind != "f" or values.shape != (amount, class_count):
        return f"{values.dtype} probabilities of shape {values.shape}, not numbers of shape ({amount}, {class_count})"
    return None

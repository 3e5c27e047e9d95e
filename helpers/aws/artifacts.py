"""What a training job leaves in S3: its reports, pictures of its mistakes, and the card that its model carries.

The archives come out of a job, which may have run any script. So nothing in them is executed or unpacked to disk,
and nothing grows beyond a limit in memory.
"""

import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_REPORTS = ("history", "evaluation", "provenance")
_SPLITS = ("validation", "test")
# ``training_scripts`` writes it beside the SavedModel, where serving ignores it.
CARD = "1/assets.extra/model.json"
MIB = 1024 * 1024
LARGEST_JSON, LARGEST_MISTAKES = 16 * MIB, 64 * MIB
# What reading a damaged file, or one of another form, raises.
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(ValueError, LookupError, TypeError, RecursionError, MemoryError),
)


class ArtifactError(ValueError):
    """The archive lacks a file, or holds one that is not what its name promises; the message names it."""


@dataclass(frozen=True)
class Mistakes:
    """The images of one split on which the model was wrong and most sure of it, the surest first."""

    images: np.ndarray  # uint8 (M, H, W, 3). M is 0 for a model without mistakes.
    indices: np.ndarray  # int (M,), the places of the images in the split
    labels: np.ndarray  # int (M,), the true classes
    predictions: np.ndarray  # int (M,), the predicted classes
    probabilities: np.ndarray  # float (M, C)
    count: int  # all mistakes in the split, of which M are kept
    image_count: int  # all images in the split


def read_output(archive: bytes) -> dict[str, Any]:
    """Read the reports and, by split, the mistakes from the content of `output.tar.gz`.

    Raises:
        ArtifactError: A file is missing, too large, or not what its name promises.
    """
    files = _read(archive, [f"{name}.json" for name in _REPORTS] + [f"mistakes/{split}.npz" for split in _SPLITS])
    left: dict[str, Any] = {name: _document(files, f"{name}.json") for name in _REPORTS}
    return left | {"mistakes": {split: _mistakes(files, split, left["evaluation"]) for split in _SPLITS}}


def read_card(archive: bytes) -> dict[str, Any]:
    """Read the card from the content of a model's archive: ``class_names``, ``image_size`` and ``provenance``.

    Raises:
        ArtifactError: There is none, or none that can be read.
    """
    card = _document(_read(archive, [CARD]), CARD)
    try:
        describe(card["provenance"])
    except _DAMAGE as error:
        raise ArtifactError(f"{CARD} cannot be read: {error!r}") from error
    return card


def describe(provenance: Mapping[str, Any]) -> str:
    """Return sentences that say which data and which initial weights a model comes from."""
    return f"{provenance['data']['source']} Weights: {provenance['weights']['description']}"


def _read(archive: bytes, names: Collection[str]) -> dict[str, bytes]:
    """Return the content of files in an archive, by name."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            for member in files:
                name = member.name.removeprefix("./")
                if name in names:
                    limit = LARGEST_JSON if name.endswith(".json") else LARGEST_MISTAKES
                    content = files.extractfile(member) if member.isfile() and member.size <= limit else None
                    if content is None:
                        raise ValueError(f"{name} is no file of at most {limit // MIB} MiB.")
                    found[name] = content.read()
                if len(found) == len(names):
                    return found
    except _DAMAGE as error:
        raise ArtifactError(f"The archive cannot be read: {error}") from error
    missing = ", ".join(name for name in names if name not in found)
    raise ArtifactError(f"The archive lacks {missing}. The scripts in training_scripts/ show how to write it.")


def _document(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        document = json.loads(files[name])
    except _DAMAGE as error:
        raise ArtifactError(f"{name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{name} is no JSON object.")
    return document


def _mistakes(files: Mapping[str, bytes], split: str, evaluation: dict[str, Any]) -> Mistakes:
    name = f"mistakes/{split}.npz"
    try:
        part = evaluation[split]
        with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
            # Compressed arrays can be far larger than their file.
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_MISTAKES:
            raise ValueError(f"{size / MIB:,.0f} MiB of arrays, where {LARGEST_MISTAKES // MIB} are the limit")
        with np.load(io.BytesIO(files[name]), allow_pickle=False) as arrays:
            known = {name: arrays[name] for name in ("images", "indices", "labels", "predictions", "probabilities")}
        return Mistakes(**known, count=int(part["mistake_count"]), image_count=int(part["count"]))
    except _DAMAGE as error:
        raise ArtifactError(f"{name} or its part of evaluation.json cannot be read: {error!r}") from error

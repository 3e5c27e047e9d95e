"""Files of VGG16 weights: the convolutional base, read from any of the usual layouts."""

import re
import zipfile
from pathlib import Path

import h5py
import numpy as np

Arrays = dict[str, np.ndarray]

# Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014:
# output channels of each convolution, by block (table 1, column D).
_CHANNELS = {1: (64, 64), 2: (128, 128), 3: (256, 256, 256), 4: (512, 512, 512), 5: (512, 512, 512)}


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

"""The pretrained VGG16 base that a job receives through its ``weights`` channel."""

import argparse
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from shared.arguments import add_folder, number

SMALLEST_IMAGE = 32
NEXT_STEP = (
    "Run 01_prepare_data, which stores them, or pass their folder by --weights-dir or as the "
    "channel 'weights' of the job. This model never starts from random weights."
)


def add_vgg16_arguments(parser: argparse.ArgumentParser, *, image_size: int) -> None:
    """Add the folder of the pretrained base, and the size of the images that it sees, in pixels, with its default."""
    weights = "folder with vgg16_base.npz and weights.json, as 01_prepare_data leaves it"
    add_folder(parser, "--weights-dir", variable="SM_CHANNEL_WEIGHTS", help=weights)
    pixels = number(int, f"at least {SMALLEST_IMAGE}, as VGG16 needs", lambda size: size >= SMALLEST_IMAGE)
    size = f"height and width that VGG16 sees, in pixels; at least {SMALLEST_IMAGE}"
    parser.add_argument("--image-size", type=pixels, default=image_size, help=size)


def load_vgg16_base(folder: Path, *, image_size: int) -> tuple[keras.Model, dict[str, Any]]:
    """Build the convolutional base of VGG16 for images of `image_size` pixels, and fill it from ``vgg16_base.npz``.

    Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (arXiv:1409.1556).

    Returns:
        The base without its classifier, and the content of ``weights.json``, which says where the weights come from.

    Raises:
        FileNotFoundError: One of the two files is missing.
        ValueError: An array is missing or does not fit VGG16, or a file is damaged.
    """
    arrays_path, record_path = folder / "vgg16_base.npz", folder / "weights.json"
    for path in (arrays_path, record_path):
        if not path.is_file():
            raise FileNotFoundError(f"No pretrained weights: {path.name} is not in {folder}. {NEXT_STEP}")
    try:
        record = json.loads(record_path.read_text())
        with np.load(arrays_path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"The pretrained weights in {folder} are damaged ({error}). {NEXT_STEP}") from error
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(image_size, image_size, 3))
    for layer in base.layers:
        for weight in layer.weights:
            name, shape = f"{layer.name}/{weight.name}", tuple(weight.shape)
            found = arrays[name].shape if name in arrays else None
            if found != shape:
                what = "lacks" if found is None else f"has shape {found} for"
                raise ValueError(f"vgg16_base.npz {what} {name}, which VGG16 has in shape {shape}. {NEXT_STEP}")
            weight.assign(arrays[name])
    return base, record


def build_frozen_part(base: keras.Model, *, input_size: int, last_layer: str) -> keras.Model:
    """Build the part of a pretrained base that stays as it is, up to the layer named `last_layer`.

    Returns:
        Model from pixels 0 to 255, (N, H, W, 3), of `input_size`, which are resized to what the base expects, to the
        features that the trained part starts from, (N, h, w, channels).
    """
    blocks = keras.Model(base.input, base.get_layer(last_layer).output)
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    x = layers.Resizing(*base.input_shape[1:3], antialias=True)(pixels)
    x = keras.applications.vgg16.preprocess_input(x)
    return keras.Model(pixels, blocks(x), name="frozen")

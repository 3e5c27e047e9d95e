"""Features: what the frozen part of a network makes of every image, computed once and kept for all epochs."""

import math
import shutil
import tempfile
from collections.abc import Sequence

import keras
import numpy as np


def compute_features(
    frozen: keras.Model, image_sets: Sequence[np.ndarray], *, batch_size: int = 16
) -> list[np.ndarray]:
    """Run the frozen part over every image once, saying how large the result is and how far the work is.

    The features are in a temporary file, of which the system keeps in free memory what it can. The file has no name, so
    it is gone with the process, however that ends. The progress lines, such as ``features 640/1712``, are a contract:
    whoever follows the log shows them.

    Args:
        frozen: Model from pixels to features.
        image_sets: uint8 (N, H, W, 3), such as the images of each split.
        batch_size: Images per step. On a CPU larger batches are no faster, and take more memory.

    Returns:
        float32 memory maps (N, h, w, channels), one for each set.

    Raises:
        OSError: The disk has no room for them.
    """
    shapes = [(len(images), *frozen.output_shape[1:]) for images in image_sets]
    size = sum(4 * math.prod(shape) for shape in shapes)
    print(f"Computing the features of the frozen part once: {size / 2**20:,.1f} MiB in a temporary file", flush=True)
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    # A memory map that outgrows the disk ends the process without a word.
    if size > free:
        raise OSError(
            f"The features need {size / 2**20:,.1f} MiB in {folder}, which has {free / 2**20:,.1f} MiB left. "
            "Set TMPDIR to a folder with more room, or lower --image-size."
        )
    return [_compute(frozen, images, shape, batch_size) for images, shape in zip(image_sets, shapes, strict=True)]


def _compute(frozen: keras.Model, images: np.ndarray, shape: tuple[int, ...], batch_size: int) -> np.ndarray:
    # The map holds on to the file, which has no name to be left behind under.
    with tempfile.TemporaryFile(prefix="features-") as file:
        features = np.memmap(file, np.float32, mode="w+", shape=shape)
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        features[start:stop] = frozen.predict_on_batch(images[start:stop])
        if stop % (10 * batch_size) == 0 or stop == len(images):
            print(f"features {stop}/{len(images)}", flush=True)
    return features

"""Features: what the frozen part of a network makes of every image, computed once and kept for all epochs."""

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

CACHES = ("auto", "memory", "file")
# The rest is for the training itself. A file costs little time: the system keeps in free memory what it can.
MEMORY_SHARE = 0.25

_MEMINFO = Path("/proc/meminfo")
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def compute_features(
    frozen: keras.Model, image_sets: Sequence[np.ndarray], *, cache: str = "auto", batch_size: int = 16
) -> list[np.ndarray]:
    """Run the frozen part over every image once, saying how large the result is and how far the work is.

    The progress lines, such as ``features 640/1712``, are a contract: whoever follows the log shows them.

    Args:
        frozen: Model from pixels to features.
        image_sets: uint8 arrays of shape (N, H, W, 3), such as the images of each split.
        cache: Where the features stay: ``memory``, ``file``, or ``auto``, which is the file if they need more than
            `MEMORY_SHARE` of the memory that is available. The file is temporary and has no name, so it is gone
            with the process, however that ends.
        batch_size: Images per step. On a CPU larger batches are no faster, and take more memory.

    Returns:
        float32 arrays of shape (N, h, w, channels), one for each set; memory maps if they are in a file.

    Raises:
        ValueError: There is no such cache.
        OSError: The disk has no room for the file.
    """
    shapes = [(len(images), *frozen.output_shape[1:]) for images in image_sets]
    size = sum(4 * math.prod(shape) for shape in shapes)
    in_file = _needs_file(size, cache=cache)
    if in_file:
        _require_disk(size)
    place = "a temporary file" if in_file else "memory"
    print(f"Computing the features of the frozen part once: {size / 2**20:,.1f} MiB, kept in {place}", flush=True)
    feature_sets = [_in_file(shape) if in_file else np.empty(shape, np.float32) for shape in shapes]
    for features, images in zip(feature_sets, image_sets, strict=True):
        _fill(features, frozen, images, batch_size)
    return feature_sets


def available_memory() -> int:
    """Return how many bytes of memory are free for the taking, at most the limit of the container."""
    if _MEMINFO.exists():
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        available = 1024 * int(fields["MemAvailable"].split()[0])
    else:
        # macOS tells how much there is, not how much is free.
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.exists() else "max"
    return available if limit == "max" else min(available, int(limit))


def _needs_file(size: int, *, cache: str) -> bool:
    if cache not in CACHES:
        raise ValueError(f"There is no cache {cache!r}; choose {', '.join(CACHES)}.")
    if cache == "auto":
        return size > MEMORY_SHARE * available_memory()
    return cache == "file"


def _require_disk(size: int) -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    # A memory map that outgrows the disk ends the process without a word.
    if size > free:
        raise OSError(
            f"The features need {size / 2**20:,.1f} MiB in {folder}, which has {free / 2**20:,.1f} MiB left. "
            "Set TMPDIR to a folder with more room, lower --image-size, or pass --feature-cache memory."
        )


def _in_file(shape: tuple[int, ...]) -> np.memmap:
    # The map holds on to the file, which has no name to be left behind under.
    with tempfile.TemporaryFile(prefix="features-") as file:
        return np.memmap(file, np.float32, mode="w+", shape=shape)


def _fill(features: np.ndarray, frozen: keras.Model, images: np.ndarray, batch_size: int) -> None:
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        features[start:stop] = frozen.predict_on_batch(images[start:stop])
        if stop % (10 * batch_size) == 0 or stop == len(images):
            print(f"features {stop}/{len(images)}", flush=True)

"""What the ``training`` channel of a job delivers: images in three splits, and the user of each, if there are users."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("train", "validation", "test")
_DAMAGE = (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Split:
    """Images and their labels."""

    images: np.ndarray  # uint8 (N, H, W, 3), RGB, 0 to 255
    labels: np.ndarray  # int64 (N,), indices into the class names


@dataclass(frozen=True)
class Users:
    """The user of each image of a part: int64 (N,), places in `names`."""

    names: list[str]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Splits:
    """A whole data set."""

    train: Split  # what the weights are fitted to
    validation: Split  # what choices are made by
    test: Split  # what is measured once, at the end
    description: dict[str, Any]  # content of `dataset.json`: title, source, counts, fingerprint

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the labels."""
        return list(self.description["class_names"])

    @property
    def image_size(self) -> int:
        """Height and width of every image, in pixels."""
        return int(self.description["image_size"])

    @property
    def images(self) -> list[np.ndarray]:
        """Images of the three splits: of training, validation and test."""
        return [self.train.images, self.validation.images, self.test.images]

    def summary(self) -> str:
        """Say in one sentence which images these are."""
        counts = [f"{len(getattr(self, name).labels):,} {name}" for name in PARTS]
        source = self.description["source"].rstrip(".")
        kind = "real" if self.description["is_real"] else "generated"
        size = f"{self.image_size}x{self.image_size}"
        return f"{source} ({kind} images): {', '.join(counts)}, {size}, {len(self.class_names)} classes"


def load_splits(folder: Path) -> Splits:
    """Read ``train.npz``, ``validation.npz``, ``test.npz`` and ``dataset.json`` from a folder.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: One of the files is damaged, or does not hold what its name promises.
    """
    description = _read_description(_existing(folder, "dataset.json"))
    splits = {name: _read_split(_existing(folder, f"{name}.npz"), description) for name in PARTS}
    return Splits(**splits, description=description)


def load_users(folder: Path, splits: Splits) -> Users:
    """Read from ``users.npz`` whose the images of the same folder are.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is damaged, or does not fit the images.
    """
    path = folder / "users.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"No {path.name} in {folder}. Run 08_one_model_per_user, which stores it beside the images."
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            users = Users(arrays["names"].tolist(), *(arrays[name] for name in PARTS))
    except _DAMAGE as error:
        raise ValueError(f"Cannot read the users from {path} ({error}). Run 08_one_model_per_user again.") from error
    for name in PARTS:
        places, labels = getattr(users, name), getattr(splits, name).labels
        if places.shape != labels.shape or places.min() < 0 or places.max() >= len(users.names):
            raise ValueError(f"{path} does not fit the {name} images. Run 08_one_model_per_user again.")
    return users


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"No {name} in {folder}. Run 01_prepare_data first, then pass its folder by --data-dir "
            f"or as the channel 'training' of the job."
        )
    return path


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file ({error}). Run 01_prepare_data again.") from error
    expected = {"source", "is_real", "class_names", "image_size"}
    missing = expected - set(description) if isinstance(description, dict) else expected
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}. Run 01_prepare_data again.")
    return description


def _read_split(path: Path, description: dict[str, Any]) -> Split:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            split = Split(images=arrays["images"], labels=arrays["labels"])
    except _DAMAGE as error:
        raise ValueError(f"Cannot read images and labels from {path} ({error}). Run 01_prepare_data again.") from error
    problem = _problem(split, size=description["image_size"], class_count=len(description["class_names"]))
    if problem:
        raise ValueError(f"{path} holds {problem}. Run 01_prepare_data again.")
    return split


def _problem(split: Split, *, size: int, class_count: int) -> str | None:
    """Name what contradicts the description of the data set, if anything does."""
    images, labels = split.images, split.labels
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
        return f"{images.dtype} images of shape {images.shape}, not uint8 of shape (N, {size}, {size}, 3)"
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        return f"{labels.dtype} labels of shape {labels.shape}, not int64 of shape ({len(images)},)"
    if not len(labels):
        return "no images"
    if labels.min() < 0 or labels.max() >= class_count:
        return f"labels from {labels.min()} to {labels.max()}, but the data set has {class_count} classes"
    return None

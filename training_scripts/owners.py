"""Owners: whose each image of a data set is, as the ``training`` channel of a job delivers it beside the images."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splits import Splits

FILE = "owners.npz"


@dataclass(frozen=True)
class Owners:
    """The person behind each image.

    Attributes:
        names: Names of the persons.
        train: int64 array, a place in `names` for each training image.
        validation: The same for the validation images.
        test: The same for the test images.
    """

    names: list[str]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load_owners(folder: Path, splits: Splits) -> Owners:
    """Read ``owners.npz``.

    Args:
        folder: The folder that holds it.
        splits: The images of that folder.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is damaged, or does not fit the images.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"No {FILE} in {folder}. Run 07_one_model_per_user, which stores it beside the images.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            owners = Owners(arrays["names"].tolist(), *(arrays[name] for name in ("train", "validation", "test")))
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"Cannot read the owners from {path} ({error}). Run 07_one_model_per_user again.") from error
    for name in ("train", "validation", "test"):
        places, labels = getattr(owners, name), getattr(splits, name).labels
        if places.shape != labels.shape or places.min() < 0 or places.max() >= len(owners.names):
            raise ValueError(f"{path} does not fit the {name} images. Run 07_one_model_per_user again.")
    return owners

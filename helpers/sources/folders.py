"""Folders of images: one folder per class, read into arrays."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers.display.progress import Step
from helpers.sources import image_files

# Files of other names are looked into: what a file is, its content says.
SUFFIXES = {".jpg", ".jpeg", ".png"}
# What operating systems leave behind in folders of images.
_CLUTTER = {"thumbs.db", "desktop.ini"}


def numbers(files: Sequence[Path]) -> np.ndarray:
    """Take the numbers from the names of files: 4039 for `IMG_4039.JPG`, int64 (N,).

    Raises:
        ValueError: If a name holds no number.
    """
    found = [re.findall(r"\d+", file.stem) for file in files]
    for file, digits in zip(files, found, strict=True):
        if not digits:
            raise ValueError(
                f"{file} carries no number in its name, so its student is unknown. "
                'Name the files as the camera does (IMG_1118.JPG, …), or use split="random".'
            )
    return np.array([int(digits[-1]) for digits in found], dtype=np.int64)


def read_images(files: Sequence[Path], indices: np.ndarray, *, size: int) -> np.ndarray:
    """Read some of the files, int (M,), scaled to a width and height of `size` pixels: uint8 (M, size, size, 3).

    Raises:
        ValueError: If a file is not a readable image.
    """
    pixels = np.empty((len(indices), size, size, 3), dtype=np.uint8)
    workers = min(8, os.cpu_count() or 1)
    with Step("Reading", total=len(indices), unit="images") as step, ThreadPoolExecutor(workers) as pool:
        read = pool.map(lambda index: read_image(files[index], size=size), indices)
        try:
            for row, image in enumerate(read):
                pixels[row] = image
                step.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def read_image(path: Path, *, size: int) -> np.ndarray:
    """Read one JPEG or PNG file, upright and scaled: uint8 (size, size, 3), RGB.

    Raises:
        ValueError: If the file is another one, broken, or has too many pixels.
    """
    try:
        return np.asarray(image_files.read(path.read_bytes(), size=(size, size)))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} {error}. Replace it or take it out of the folder, then run again.") from error


def _class_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def find_root(folder: Path) -> Path:
    """Return the folder that holds the class folders: the one given, or the only folder in it (repeatedly).

    Raises:
        FileNotFoundError: If there is no such folder.
        NotADirectoryError: If it is a file.
        ValueError: If it holds no folders.
    """
    if not folder.exists():
        raise FileNotFoundError(f"No folder {folder}. Check the path.")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file. Unpack it if it is an archive, and name the folder.")
    inside = _class_folders(folder)
    if not inside:
        raise ValueError(f"{folder} holds no folders. It needs one folder of images per class, named after the class.")
    return find_root(inside[0]) if len(inside) == 1 and _class_folders(inside[0]) else folder


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of a folder's class folders, sorted; raise ValueError if there are fewer than two."""
    names = tuple(path.name for path in _class_folders(folder))
    if len(names) < 2:
        raise ValueError(f"{folder} has fewer than two classes. It needs one folder of images for each class.")
    return names


def list_images(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    """Return the image files of class folders, and their labels, int64 (N,); the folder holds these folders only.

    Raises:
        ValueError: If class folders are missing, unexpected or empty, or hold something that is not an image.
    """
    found = {path.name for path in _class_folders(folder)}
    missing, unexpected = sorted(set(class_names) - found), sorted(found - set(class_names))
    if missing or unexpected:
        raise ValueError(
            f"{folder} needs one folder per class: {', '.join(class_names)}."
            + (f" Missing: {', '.join(missing)}." if missing else "")
            + (f" Unexpected: {', '.join(unexpected)}." if unexpected else "")
            + " Rename, add or take out folders, then run again."
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        found_files = _images(folder / name)
        if not found_files:
            raise ValueError(f"{folder / name} holds no images. Put some there, then run again.")
        files += found_files
        labels += [label] * len(found_files)
    return files, np.array(labels, dtype=np.int64)


def _images(folder: Path) -> list[Path]:
    paths = sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in _CLUTTER
    )
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is not an image file. Take it out of the folder, then run again.")
        if path.suffix.lower() not in SUFFIXES:
            with path.open("rb") as file:
                head = file.read(16)
            try:
                image_files.check_format(head)
            except ValueError as error:
                raise ValueError(f"{path} {error}. Convert it or take it out of the folder, then run again.") from error
    return paths

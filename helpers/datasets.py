"""Data sets: load and divide their images, store them for a training job, read them back."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from helpers.sources import division, provenance
from helpers.sources.pools import Pool
from helpers.sources.provenance import Provenance

SEED = 2021
SPLITS = ("train", "validation", "test")
RECORD = "dataset.json"
_SAID = ("name", "title", "source", "is_real", "split", "seed")  # fields that `dataset.json` says as they are


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set: images, uint8 (N, size, size, 3), RGB, and the index of each one's class, int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def take(self, places: np.ndarray) -> "Split":
        """Return the images at these places, an int array, with their labels."""
        return Split(self.images[places], self.labels[places])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three parts, and where they come from."""

    name: str  # slug of the model they train, such as "cifar" or "sign-language"
    title: str  # what a reader calls them
    source: str  # a sentence that says which images these are
    is_real: bool  # False for the generated sample
    class_names: tuple[str, ...]  # names in the order of the labels
    split: str  # how the parts came about: "random", "by_student" or "original"
    seed: int  # seed of the division, and of the drawing if the images are drawn
    train: Split  # images to train on
    validation: Split  # images to watch the training with
    test: Split  # images to judge the result with

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all arrays, in hexadecimal: the same for the same images, labels and division."""
        digest = hashlib.sha256()
        for part in SPLITS:
            for array in vars(getattr(self, part)).values():
                digest.update(f"{part} {array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def image_size(self) -> int:
        """Width and height of each image in pixels."""
        return int(self.train.images.shape[1])

    @property
    def counts(self) -> dict[str, int]:
        """Number of images in each part."""
        return {part: len(getattr(self, part)) for part in SPLITS}

    @property
    def description(self) -> str:
        """Two sentences to show beside results: what the images are, and how many."""
        counts = self.counts
        return (
            f"{self.source} {counts['train']:,} images to train on, {counts['validation']:,} to validate, "
            f"{counts['test']:,} to test, {self.image_size}×{self.image_size} pixels, split: {self.split}."
        )

    @property
    def record(self) -> dict[str, Any]:
        """What `dataset.json` says, as plain values."""
        said = {name: getattr(self, name) for name in _SAID}
        derived = {"image_size": self.image_size, "counts": self.counts, "fingerprint": self.fingerprint}
        return said | {"class_names": list(self.class_names)} | derived

    @property
    def arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """The arrays of each file that a training job reads, by the file's name without `.npz`."""
        return {part: vars(getattr(self, part)) for part in SPLITS}


def load_cifar(source: str | Path = "auto", *, seed: int = SEED, limit: int | None = None) -> Dataset:
    """Load CIFAR-10, or the generated sample that takes its place.

    CIFAR-10: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        source: "auto" (CIFAR-10 if Keras has it in its cache or can download it, else the generated sample,
            with a warning), "download" (CIFAR-10 or an error), "sample", or a folder with one folder of
            images per class, or with `train` and `test`, which hold one each.
        seed: Seed of the division, and of the generated sample.
        limit: Most training images; the other parts shrink with it.

    Returns:
        Images of 32x32 pixels in ten classes. CIFAR-10 itself: 45,000, 5,000 and 10,000.

    Raises:
        ConnectionError: If the source is "download" and the download fails.
        FileNotFoundError: If the folder does not exist.
        ValueError: If an argument is not understood, or the folder or the archive is not of the expected form.
    """
    return _assemble(provenance.cifar(source, seed=seed), "cifar", split="random", seed=seed, limit=limit)


def load_sign_language(
    source: str | Path = "auto",
    *,
    split: Literal["random", "by_student"] = "random",
    seed: int = SEED,
    limit: int | None = None,
) -> Dataset:
    """Load the Sign Language Digits (Mavi and Dikle, arXiv:2011.08927), or the generated sample.

    Arguments and errors are those of `load_cifar`; the download is the archive of the authors' GitHub repository. With
    the split "by_student", nobody's hand is in two parts.

    Returns:
        Images of 100x100 pixels in ten classes, 1,712, 300 and 50 of them in the full set.
    """
    if split not in ("random", "by_student"):
        raise ValueError(f'The split is {split!r}; it must be "random" or "by_student".')
    found = provenance.sign_language(source, seed=seed, by_student=split == "by_student")
    return _assemble(found, "sign-language", split=split, seed=seed, limit=limit)


def load_folder(
    folder: str | Path, *, name: str, title: str, size: int, seed: int = SEED, limit: int | None = None
) -> Dataset:
    """Load images of your own, for a model beside those of the series.

    Args:
        folder: Holds one folder of images per class, named after the class, or `train` and `test`, which hold one each.
        name: Slug of the model that they train.
        title: What a reader calls the images.
        size: Width and height of every image in pixels; those of another size are scaled.
        seed: Seed of the division.
        limit: Most training images; the other parts shrink with it.

    Returns:
        The images, classes in the order of their names: three quarters to train, a twelfth to validate, a sixth to
        test. Where `test` is a folder, it is the test images, and a tenth of `train` is for validation.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the folder is not of that form, or a class has too few images to be divided.
    """
    found = provenance.own_folder(folder, title=title, size=size)
    return _assemble(found, name, split="random", seed=seed, limit=limit)


def _assemble(found: Provenance, name: str, *, split: str, seed: int, limit: int | None) -> Dataset:
    """Divide what was found, and read or draw the images that are wanted."""
    pool, test_pool = found.images, found.test or found.images
    students = pool.students if split == "by_student" else None
    validation, test = found.shares
    indices = division.divide(pool.labels, validation=validation, test=test, seed=seed, students=students)
    if found.test:
        split = "original"
        indices = indices._replace(test=np.random.default_rng(seed).permutation(len(test_pool.labels)))
    if limit is not None:
        indices = division.limit_images(indices, pool.labels, test_pool.labels, limit=limit)
    if found.test:
        parts = [*take(pool, indices.train, indices.validation), *take(test_pool, indices.test)]
    else:
        parts = take(pool, *indices)
    return Dataset(
        name=name,
        title=found.title,
        source=found.source,
        is_real=found.is_real,
        class_names=found.class_names,
        split=split,
        seed=seed,
        **dict(zip(SPLITS, parts, strict=True)),
    )


def take(pool: Pool, *parts: np.ndarray) -> list[Split]:
    """Read or draw images in one go, whose progress is shown, and return them part by part."""
    images = np.split(pool.read(np.concatenate(parts)), np.cumsum([len(part) for part in parts])[:-1])
    return [Split(some, pool.labels[part]) for some, part in zip(images, parts, strict=True)]


def save(dataset: Dataset, folder: str | Path) -> Path:
    """Write a data set as the files that the training job reads: `train.npz`, …, `dataset.json`; return the folder.

    The folder is made if missing, and files of an earlier data set are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    # The record comes last and goes first: where it is, the arrays beside it are complete.
    record.unlink(missing_ok=True)
    for name, arrays in dataset.arrays.items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
    record.write_text(json.dumps(dataset.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def read(folder: str | Path) -> Dataset:
    """Read a data set that `save` wrote.

    Raises:
        FileNotFoundError: If no data set is there.
        ValueError: If a file is damaged or does not belong to the others.
    """
    folder = Path(folder)
    if not (folder / RECORD).exists():
        raise FileNotFoundError(f"No data set in {folder}. Run 01_prepare_data first.")
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        fields = {key: record[key] for key in _SAID}
        for part in SPLITS:
            with np.load(folder / f"{part}.npz", allow_pickle=False) as arrays:
                fields[part] = Split(arrays["images"], arrays["labels"])
        dataset = Dataset(**fields, class_names=tuple(record["class_names"]))
        matches = dataset.fingerprint == record["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"The data set in {folder} is damaged ({error}). Run 01_prepare_data again.") from error
    if not matches:
        raise ValueError(f"The files in {folder} do not belong together. Run 01_prepare_data again.")
    return dataset

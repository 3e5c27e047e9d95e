"""Provenance of images: the published data sets, a folder of the user's, the generated sample."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from helpers.sources import division, downloads, folders, sample
from helpers.sources.pools import CIFAR_CLASSES, CIFAR_SIZE, DIGIT_SIZE, DIGITS, Pool

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
# The branch may move, so there is no hash: the limits below and reading every image take its place.
SIGN_LANGUAGE_URL = "https://github.com/ardamavi/Sign-Language-Digits-Dataset/archive/refs/heads/master.zip"
_ARCHIVE_LIMIT, _UNPACKED_LIMIT, _MOST_FILES = 200 << 20, 400 << 20, 10_000

# Shares of the images for validation and test. A folder without test images of its own is divided as CIFAR-10 is.
_SHARES, _SHARES_BESIDE_TEST = (1 / 12, 1 / 6), (1 / 10, 0.0)
_SAMPLE_OBJECTS, _SAMPLE_SHARES = 13_000, (1 / 13, 2 / 13)
# As many images as the published set, divided as in the original post: 1,712, 300 and 50.
_HANDS = 2_062
_HANDS_SHARES = (300 / _HANDS, 50 / _HANDS)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where a data set comes from."""

    title: str  # what a reader calls the images
    source: str  # a sentence that says which images these are
    is_real: bool  # False for the generated sample
    class_names: tuple[str, ...]  # names in the order of the labels
    images: Pool  # all images, or all but those for testing
    test: Pool | None  # the images for testing, if they are set apart already
    shares: tuple[float, float]  # shares of `images` for validation and for testing, 0-1


def cifar(source: str | Path, *, seed: int) -> Provenance:
    """Find the images for the CIFAR-10 classes, not yet read; arguments and errors as of `datasets.load_cifar`."""

    def folder(path: Path) -> Provenance:
        what = "Images of the CIFAR-10 classes"
        return _from_folder(path, CIFAR_CLASSES, title="CIFAR-10", what=what, size=CIFAR_SIZE)

    def drawn() -> Provenance:
        text = "Generated sample: CIFAR-like pictures drawn by this project, not CIFAR-10."
        pool = sample.objects(_SAMPLE_OBJECTS, seed=seed)
        return Provenance("CIFAR-like pictures (generated)", text, False, CIFAR_CLASSES, pool, None, _SAMPLE_SHARES)

    return _find(source, "CIFAR_SOURCE", name="CIFAR-10", download=_download_cifar, drawn=drawn, folder=folder)


def sign_language(source: str | Path, *, seed: int, by_student: bool) -> Provenance:
    """Find the images of sign language digits, not yet read, and who is on each of them if that is asked for.

    Arguments and errors are those of `datasets.load_sign_language`.
    """
    name = "Sign Language Digits"

    def folder(path: Path) -> Provenance:
        said = {"title": name, "what": "Sign language digits"}
        found = _from_folder(path, DIGITS, **said, size=DIGIT_SIZE, by_student=by_student)
        return replace(found, shares=(_HANDS_SHARES[0], 0.0 if found.test else _HANDS_SHARES[1]))

    def download() -> Provenance:
        text = "Sign Language Digits by A. Mavi and Z. Dikle (Apache-2.0), downloaded."
        return replace(folder(_fetch_sign_language()), source=text)

    def drawn() -> Provenance:
        text = "Generated sample: hand signs drawn by this project, not photographs."
        pool = sample.hands(_HANDS, seed=seed)
        return Provenance("Hand signs (generated)", text, False, DIGITS, pool, None, _HANDS_SHARES)

    return _find(source, "SIGN_LANGUAGE_SOURCE", name=name, download=download, drawn=drawn, folder=folder)


def own_folder(path: str | Path, *, title: str, size: int) -> Provenance:
    """Find the images and the classes of a folder of the user's; arguments and errors as of `datasets.load_folder`."""
    root = folders.find_root(Path(path).expanduser())
    class_names = folders.class_names(root / "train" if _sets_test_apart(root) else root)
    return _from_folder(root, class_names, title=title, what=title, size=size)


def _find(
    source: str | Path,
    parameter: str,
    *,
    name: str,
    download: Callable[[], Provenance],
    drawn: Callable[[], Provenance],
    folder: Callable[[Path], Provenance],
) -> Provenance:
    """Follow the word or path that names a source, and that a notebook has in `parameter`."""
    if source == "sample":
        return drawn()
    if source not in ("auto", "download"):
        path = Path(source).expanduser()
        if isinstance(source, str) and not path.exists() and len(path.parts) <= 1:
            raise ValueError(
                f'The data source is {source!r}. It must be "auto", "download", "sample", or an existing '
                "folder that holds one folder of images per class."
            )
        return folder(folders.find_root(path))
    try:
        return download()
    except ConnectionError as error:
        if source == "download":
            raise ConnectionError(
                f"{name} cannot be downloaded: {error}. Connect to the internet and run again, or set "
                f'{parameter} to "sample" or to a folder of images.'
            ) from error
        warnings.warn(
            f"{name} is not at hand and cannot be downloaded ({error}). The generated sample takes "
            f"its place: results on it say nothing about {name}.",
            stacklevel=4,
        )
        found = drawn()
        return replace(found, source=f"{found.source} {name} could not be downloaded.")


def _download_cifar() -> Provenance:
    """Have Keras load CIFAR-10 from its cache or download it, and check its hash."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    if not any((home / "datasets").glob("cifar-10-batches-py-target*")):
        downloads.check_reachable(CIFAR_URL)
    # TensorFlow takes seconds to import, and nothing else here needs it.
    from keras.datasets import cifar10

    try:
        parts = cifar10.load_data()
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        raise ConnectionError(f"Keras could not load it ({error})") from error
    train, test = (Pool(labels.reshape(-1).astype(np.int64), read=images.__getitem__) for images, labels in parts)
    text = "CIFAR-10 (Krizhevsky, 2009), loaded by Keras."
    return Provenance("CIFAR-10", text, True, CIFAR_CLASSES, train, test, _SHARES_BESIDE_TEST)


def _fetch_sign_language() -> Path:
    """Download and unpack the Sign Language Digits, unless that has been done before."""
    folder = downloads.DATA_FOLDER / "downloads"
    images = folder / "sign-language-digits"
    if images.exists():
        return images
    archive = downloads.fetch(SIGN_LANGUAGE_URL, folder / "sign-language-digits.zip", limit=_ARCHIVE_LIMIT)
    try:
        return downloads.unpack_images(archive, images, inside="Dataset", limit=_UNPACKED_LIMIT, most=_MOST_FILES)
    except ValueError:
        # A damaged download would otherwise be taken for a good one next time.
        archive.unlink()
        raise


def _from_folder(
    folder: Path, class_names: tuple[str, ...], *, title: str, what: str, size: int, by_student: bool = False
) -> Provenance:
    """Offer the images of a folder; `train` and `test` in it set the test images apart."""
    apart = _sets_test_apart(folder)
    if apart and by_student:
        raise ValueError(
            f'{folder} sets its test images apart, so split="by_student" cannot be kept. '
            'Use split="random", or put all images into one folder per class.'
        )

    def pool(root: Path) -> Pool:
        files, labels = folders.list_images(root, class_names)
        students = division.find_students(folders.numbers(files), labels) if by_student else None
        return Pool(labels, read=partial(folders.read_images, files, size=size), students=students)

    images, test = (pool(folder / "train"), pool(folder / "test")) if apart else (pool(folder), None)
    shares = _SHARES_BESIDE_TEST if apart else _SHARES
    source = f'{what}, read from the folder "{folder.name}".'
    return Provenance(title, source, True, class_names, images, test, shares)


def _sets_test_apart(folder: Path) -> bool:
    return {"train", "test"} <= {path.name for path in folder.iterdir() if path.is_dir()}

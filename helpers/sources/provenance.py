"""Origins of images: the published data sets, a folder of the user's, the generated sample."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from helpers import sample_images
from helpers.sample_images import hands, objects
from helpers.sources import downloads, folders
from helpers.sources.students import find_students

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
# The branch may move, so no hash is pinned: the limits below and reading every image stand in for it.
SIGN_LANGUAGE_URL = "https://github.com/ardamavi/Sign-Language-Digits-Dataset/archive/refs/heads/master.zip"
_ARCHIVE_LIMIT = 200 << 20
_UNPACKED_LIMIT = 400 << 20
_MOST_FILES = 10_000

# Shares of the images. A folder that does not set test images apart is divided as CIFAR-10 is.
_VALIDATION_OF_TRAIN = 1 / 10
_VALIDATION, _TEST = 1 / 12, 1 / 6
_SAMPLE_OBJECTS, _SAMPLE_VALIDATION, _SAMPLE_TEST = 13_000, 1 / 13, 2 / 13
# As many images as the published set, divided as in the original post: 1,712, 300 and 50.
_HANDS = 2_062
_HANDS_VALIDATION, _HANDS_TEST = 300 / 2_062, 50 / 2_062


@dataclass(frozen=True, eq=False)
class Pool:
    """Images that can be had by number: their labels are known, their pixels are not read or drawn yet.

    Attributes:
        labels: int64 array (N,), index of each image's class.
        read: Takes an int array (M,) of numbers and gives a uint8 array (M, size, size, 3), RGB.
        students: int64 array (N,), who is on each image, where that is known.
    """

    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]
    students: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a data set comes from.

    Attributes:
        title: What a reader calls the images.
        source: A sentence that says which images these are.
        is_real: False for the generated sample.
        images: All images, or all but those for testing.
        test: The images for testing, if they are set apart already.
        validation_share: Share of `images` that is for validation, 0-1.
        test_share: Share of `images` that is for testing, 0-1.
    """

    title: str
    source: str
    is_real: bool
    images: Pool
    test: Pool | None
    validation_share: float
    test_share: float


def cifar(source: str | Path, *, seed: int) -> Origin:
    """Find the images for the CIFAR-10 classes.

    Args:
        source: "auto", "download", "sample" or a folder, as for `datasets.load_cifar`.
        seed: Seed of the generated sample.

    Returns:
        The images, not yet read.

    Raises:
        ConnectionError: If the source is "download" and the download fails.
        FileNotFoundError: If the folder does not exist.
        ValueError: If the source is not understood, or the folder is not of the expected form.
    """
    return _find(
        source,
        real_name="CIFAR-10",
        download=_download_cifar,
        sample=partial(_sample_objects, seed),
        folder=_cifar_folder,
    )


def sign_language(source: str | Path, *, seed: int, by_student: bool) -> Origin:
    """Find the images of sign language digits.

    Args:
        source: "auto", "download", "sample" or a folder, as for `datasets.load_sign_language`.
        seed: Seed of the generated sample.
        by_student: Whether it must be known who is on each image.

    Returns:
        The images, not yet read.

    Raises:
        ConnectionError: If the source is "download" and the download fails.
        FileNotFoundError: If the folder does not exist.
        ValueError: If the source is not understood, or the folder or the archive is not of the expected form.
    """
    return _find(
        source,
        real_name="Sign Language Digits",
        download=partial(_download_sign_language, by_student=by_student),
        sample=partial(_sample_hands, seed),
        folder=partial(_sign_language_folder, by_student=by_student),
    )


def own_folder(path: str | Path, *, title: str, size: int) -> tuple[Origin, tuple[str, ...]]:
    """Find the images and the classes of a folder of the user's.

    Args:
        path: Folder of class-named folders, or of `train` and `test` with such folders.
        title: What a reader calls the images.
        size: Width and height of the images when they are read, in pixels.

    Returns:
        The images, not yet read, and the names of their classes.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If it is not of the expected form.
    """
    root = folders.find_root(Path(path).expanduser())
    class_names = folders.class_names(root / "train" if _sets_test_apart(root) else root)
    source = f'{title}, read from the folder "{root.name}".'
    return _divided(root, class_names, title=title, source=source, size=size), class_names


def fetch_sign_language(*, url: str | None = None, folder: Path | None = None) -> Path:
    """Download and unpack the Sign Language Digits, unless that has been done before.

    Args:
        url: Where the ZIP archive is; the authors' repository if not given.
        folder: Where archive and images go; the project's `data/downloads` if not given.

    Returns:
        The folder with one folder of images per digit.

    Raises:
        ConnectionError: If the download fails.
        ValueError: If the archive is damaged or not of the expected form.
    """
    folder = folder or downloads.DATA_FOLDER / "downloads"
    images = folder / "sign-language-digits"
    if images.exists():
        return images
    archive = downloads.fetch(url or SIGN_LANGUAGE_URL, folder / "sign-language-digits.zip", limit=_ARCHIVE_LIMIT)
    try:
        return downloads.unpack_images(archive, images, inside="Dataset", limit=_UNPACKED_LIMIT, most=_MOST_FILES)
    except ValueError:
        # A damaged download would otherwise be taken for a good one next time.
        archive.unlink()
        raise


def _find(
    source: str | Path,
    *,
    real_name: str,
    download: Callable[[], Origin],
    sample: Callable[[], Origin],
    folder: Callable[[Path], Origin],
) -> Origin:
    """Follow the word or path that names a source."""
    if source == "sample":
        return sample()
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
                f"{real_name} cannot be downloaded: {error}. Connect to the internet and run again, or set "
                'DATA_SOURCE to "sample" or to a folder of images.'
            ) from error
        warnings.warn(
            f"{real_name} is not at hand and cannot be downloaded ({error}). The generated sample takes "
            f"its place: results on it say nothing about {real_name}.",
            stacklevel=4,
        )
        origin = sample()
        return replace(origin, source=f"{origin.source} {real_name} could not be downloaded.")


def _download_cifar() -> Origin:
    """Have Keras load CIFAR-10 from its cache or download it, and check its hash."""
    if not any((_keras_home() / "datasets").glob("cifar-10-batches-py-target*")):
        downloads.check_reachable(CIFAR_URL)
    # TensorFlow takes seconds to import, and nothing else here needs it.
    from keras.datasets import cifar10

    try:
        (images, labels), (test_images, test_labels) = cifar10.load_data()
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        raise ConnectionError(f"Keras could not load it ({error})") from error
    train, test = (
        Pool(labels=pool_labels.reshape(-1).astype(np.int64), read=pool_images.__getitem__)
        for pool_images, pool_labels in ((images, labels), (test_images, test_labels))
    )
    source = "CIFAR-10 (Krizhevsky, 2009), loaded by Keras."
    return Origin("CIFAR-10", source, True, train, test, _VALIDATION_OF_TRAIN, 0.0)


def _cifar_folder(folder: Path) -> Origin:
    """Offer the images of a folder of CIFAR-10 classes."""
    source = f'Images of the CIFAR-10 classes, read from the folder "{folder.name}".'
    return _divided(folder, objects.CLASS_NAMES, title="CIFAR-10", source=source, size=objects.SIZE)


def _divided(folder: Path, class_names: Sequence[str], *, title: str, source: str, size: int) -> Origin:
    """Offer the images of a folder, with the shares of CIFAR-10."""
    images, test = _pools(folder, class_names, size=size)
    shares = (_VALIDATION_OF_TRAIN, 0.0) if test else (_VALIDATION, _TEST)
    return Origin(title, source, True, images, test, *shares)


def _sign_language_folder(folder: Path, *, by_student: bool) -> Origin:
    """Offer the images of a folder of sign language digits."""
    images, test = _pools(folder, hands.CLASS_NAMES, size=hands.SIZE, by_student=by_student)
    source = f'Sign language digits, read from the folder "{folder.name}".'
    return Origin("Sign Language Digits", source, True, images, test, _HANDS_VALIDATION, 0.0 if test else _HANDS_TEST)


def _download_sign_language(*, by_student: bool) -> Origin:
    """Offer the published Sign Language Digits."""
    origin = _sign_language_folder(fetch_sign_language(), by_student=by_student)
    return replace(origin, source="Sign Language Digits by A. Mavi and Z. Dikle (Apache-2.0), downloaded.")


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def _pools(
    folder: Path, class_names: Sequence[str], *, size: int, by_student: bool = False
) -> tuple[Pool, Pool | None]:
    """List a folder's images; a second pool if `train` and `test` set the test images apart."""
    apart = _sets_test_apart(folder)
    if apart and by_student:
        raise ValueError(
            f'{folder} sets its test images apart, so split="by_student" cannot be kept. '
            'Use split="random", or put all images into one folder per class.'
        )

    def pool(root: Path) -> Pool:
        images = folders.list_images(root, class_names)
        students = find_students(images.numbers(), images.labels) if by_student else None
        return Pool(labels=images.labels, read=lambda indices: images.read(indices, size=size), students=students)

    return (pool(folder / "train"), pool(folder / "test")) if apart else (pool(folder), None)


def _sets_test_apart(folder: Path) -> bool:
    return {"train", "test"} <= {path.name for path in folder.iterdir() if path.is_dir()}


def _sample_objects(seed: int) -> Origin:
    """Offer the CIFAR-like pictures, drawn when they are taken."""
    pool = Pool(
        labels=np.arange(_SAMPLE_OBJECTS) % len(objects.CLASS_NAMES),
        read=lambda numbers: sample_images.object_images(numbers, seed=seed),
    )
    source = "Generated sample: CIFAR-like pictures drawn by this project, not CIFAR-10."
    return Origin("CIFAR-like pictures (generated)", source, False, pool, None, _SAMPLE_VALIDATION, _SAMPLE_TEST)


def _sample_hands(seed: int) -> Origin:
    """Offer the hand signs, drawn when they are taken."""
    numbers = np.arange(_HANDS)
    pool = Pool(
        labels=numbers % len(hands.CLASS_NAMES),
        read=lambda wanted: sample_images.hand_images(wanted, seed=seed),
        students=numbers // sample_images.IMAGES_PER_STUDENT,
    )
    source = "Generated sample: hand signs drawn by this project, not photographs."
    return Origin("Hand signs (generated)", source, False, pool, None, _HANDS_VALIDATION, _HANDS_TEST)

"""How images are divided into those for training, validation and testing, and which show the same student."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Measured on the published 2,062 images: each student shows 0 to 9 on ten consecutive pictures, now and
# then two digits in the wrong order, one shown twice or one removed. No wrong order falls by more than five.
_FALL_OF_A_NEW_STUDENT = 6
# Numbers are skipped within a student too, but a longer gap followed by a lower digit is someone else.
_GAP_OF_A_NEW_STUDENT = 5


class Indices(NamedTuple):
    """Positions of the images of each part, int64 arrays in random order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def divide(
    labels: np.ndarray, *, validation: float, test: float, seed: int, students: np.ndarray | None = None
) -> Indices:
    """Divide images by their classes, int (N,); validation and test hold equally many of each class.

    Their shares, 0-1, are measured on the smallest class, at least one image; a share for testing of 0 means none.
    With `students`, int (N,), nobody is in two parts.

    Raises:
        ValueError: If there are too few images of a class, or too few students.
    """
    rng = np.random.default_rng(seed)
    smallest = int(np.bincount(labels).min())
    validation_count = max(1, round(smallest * validation))
    test_count = max(1, round(smallest * test)) if test else 0
    needed = validation_count + test_count
    if smallest <= needed:
        raise ValueError(
            f"One class has only {smallest} image(s), which cannot be divided into training, validation and test "
            f"images. Add images until each class has at least {needed + 1}."
        )
    ranks = _ranks(labels, rng) if students is None else _ranks_by_student(labels, students, rng, needed=needed)
    part = np.digitize(ranks, [test_count, needed])
    order = rng.permutation(len(labels))
    return Indices(*(order[part[order] == number] for number in (2, 1, 0)))


def _ranks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Number the images of each class at random: low numbers go to test, then validation, then training."""
    ranks = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[rng.permutation(members)] = np.arange(len(members))
    return ranks


def _ranks_by_student(
    labels: np.ndarray, students: NDArray[np.int64], rng: np.random.Generator, *, needed: int
) -> NDArray[np.int64]:
    """Number the students at random, those with one image of each class first; images carry the number."""
    table = np.zeros((students.max() + 1, labels.max() + 1), dtype=np.int64)
    np.add.at(table, (students, labels), 1)
    # Only they keep validation and test balanced; everyone else is for training.
    complete = np.flatnonzero((table == 1).all(axis=1))
    if len(complete) < needed or len(table) <= needed:
        raise ValueError(
            f"Only {len(complete)} of {len(table)} students show each class once. Validation and test need {needed}, "
            'and training needs others. Add images, or use split="random".'
        )
    rank_of = np.full(len(table), len(table), dtype=np.int64)
    rank_of[rng.permutation(complete)] = np.arange(len(complete))
    return rank_of[students]


def find_students(numbers: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Tell from the camera's picture numbers, int (N,), and the digits, which pictures show the same student.

    Pictures are taken in order and each student counts up from 0, so a new student begins where the digit
    falls back. Where it is unclear, two students are taken for one: that never puts one student on both
    sides of a split.

    Returns:
        int64 (N,), the student on each picture, counted from 0 in order of the numbers.

    Raises:
        ValueError: If two pictures carry the same number, so that they have no order.
    """
    if len(np.unique(numbers)) != len(numbers):
        raise ValueError('Two images carry the same number, so their students are unknown. Use split="random".')
    order = np.argsort(numbers)
    falls = -np.diff(digits[order])
    gaps = np.diff(numbers[order])
    begins = (falls >= _FALL_OF_A_NEW_STUDENT) | ((gaps >= _GAP_OF_A_NEW_STUDENT) & (falls > 0))
    students = np.empty(len(numbers), dtype=np.int64)
    students[order] = np.concatenate([[0], np.cumsum(begins)])
    return students


def limit_images(indices: Indices, labels: np.ndarray, test_labels: np.ndarray, *, limit: int) -> Indices:
    """Keep at most so many training images, equally many a class, and scale the other parts down with them.

    `train` and `validation` point into `labels`, `test` into `test_labels`, often the same array. At least one image of
    each class stays in each part.

    Raises:
        ValueError: If the limit is below the number of classes.
    """
    classes = len(np.unique(labels))
    if limit < classes:
        raise ValueError(f"A limit of {limit} images is less than one for each of the {classes} classes. Raise it.")
    share = limit / len(indices.train)
    if share >= 1:
        return indices

    def keep(part: np.ndarray, part_labels: np.ndarray, count: int) -> np.ndarray:
        of_class = part_labels[part]
        return np.sort(np.concatenate([np.flatnonzero(of_class == label)[:count] for label in np.unique(of_class)]))

    counts = limit // classes, *(max(1, round(len(part) / classes * share)) for part in indices[1:])
    kept = zip(indices, (labels, labels, test_labels), counts, strict=True)
    return Indices(*(part[keep(part, part_labels, count)] for part, part_labels, count in kept))

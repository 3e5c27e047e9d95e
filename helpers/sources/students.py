"""The students of the Sign Language Digits images, found from picture numbers."""

import numpy as np

# Measured on the published 2,062 images: each student shows 0 to 9 on ten consecutive pictures, now and
# then two digits in the wrong order, one shown twice or one removed. No wrong order falls by more than five.
_FALL_OF_A_NEW_STUDENT = 6
# Numbers are skipped within a student too, but a longer gap followed by a lower digit is someone else.
_GAP_OF_A_NEW_STUDENT = 5


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

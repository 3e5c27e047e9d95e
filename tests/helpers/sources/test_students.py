import numpy as np
import pytest

from helpers.sources.students import find_students


def students_of(*takes: tuple[int, str]) -> list[int]:
    numbers = [first + step for first, digits in takes for step in range(len(digits))]
    digits = [int(digit) for _, shown in takes for digit in shown]
    # The folders give the images digit by digit, not in the order they were taken.
    order = np.argsort(digits, kind="stable")
    found = np.empty(len(order), dtype=int)
    found[order] = find_students(np.array(numbers)[order], np.array(digits)[order])
    return found.tolist()


def test_ten_consecutive_pictures_show_one_student():
    assert students_of((1118, "0123456789" * 3)) == [0] * 10 + [1] * 10 + [2] * 10


@pytest.mark.parametrize("shown", ["0123456798", "0213456789", "1023456789", "01234567889", "012345678", "5012346789"])
def test_slips_do_not_split_a_student(shown):
    assert students_of((10, shown), (10 + len(shown), "0123456789")) == [0] * len(shown) + [1] * 10


def test_a_gap_followed_by_a_lower_digit_is_someone_else():
    assert students_of((1, "012345678"), (30, "456789")) == [0] * 9 + [1] * 6


def test_a_gap_within_a_student_is_no_border():
    assert students_of((1, "01"), (7, "23456789")) == [0] * 10


def test_doubled_numbers_are_refused():
    with pytest.raises(ValueError, match="same number"):
        find_students(np.array([1, 1]), np.array([0, 1]))

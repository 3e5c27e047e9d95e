import numpy as np
import pytest

from helpers.sources import division

LABELS = np.repeat(np.arange(10), 40)
STUDENTS = np.tile(np.arange(40), 10)


def test_parts_are_disjoint_balanced_and_complete():
    parts = division.divide(LABELS, validation=0.2, test=0.1, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(400))
    assert np.bincount(LABELS[parts.validation]).tolist() == [8] * 10
    assert np.bincount(LABELS[parts.test]).tolist() == [4] * 10


def test_the_original_sizes_come_out_of_unequal_classes():
    counts = [205, 206, 206, 206, 207, 207, 207, 206, 208, 204]
    labels = np.repeat(np.arange(10), counts)
    parts = division.divide(labels, validation=300 / 2062, test=50 / 2062, seed=1)
    assert [len(part) for part in parts] == [1712, 300, 50]
    assert np.bincount(labels[parts.test]).tolist() == [5] * 10


def test_the_seed_decides():
    once, again, other = (division.divide(LABELS, validation=0.2, test=0.1, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert set(once.test) != set(other.test)


def test_training_images_are_mixed():
    train = division.divide(LABELS, validation=0.2, test=0.1, seed=1).train
    assert len(set(LABELS[train[:20]])) > 3


def test_no_student_is_in_two_parts():
    parts = division.divide(LABELS, validation=0.2, test=0.1, seed=1, students=STUDENTS)
    train, validation, test = (set(STUDENTS[part]) for part in parts)
    assert len(train | validation | test) == 40
    assert len(train) + len(validation) + len(test) == 40
    assert np.bincount(LABELS[parts.validation]).tolist() == [8] * 10


def test_students_with_missing_digits_are_for_training():
    shown = (STUDENTS != 7) | (LABELS != 3)
    parts = division.divide(LABELS[shown], validation=0.2, test=0.1, seed=1, students=STUDENTS[shown])
    assert 7 in STUDENTS[shown][parts.train]


def test_too_few_students():
    with pytest.raises(ValueError, match=r"Only 0 of 1 students.*random"):
        division.divide(LABELS, validation=0.2, test=0.1, seed=1, students=np.zeros_like(STUDENTS))


def test_too_few_images():
    with pytest.raises(ValueError, match=r"only 2 image\(s\).*at least 3"):
        division.divide(np.repeat(np.arange(10), 2), validation=0.1, test=0.1, seed=1)


def test_a_limit_keeps_classes_equal_and_students_apart():
    parts = division.divide(LABELS, validation=0.2, test=0.1, seed=1, students=STUDENTS)
    small = division.limit_images(parts, LABELS, LABELS, limit=56)
    assert np.bincount(LABELS[small.train]).tolist() == [5] * 10
    assert np.bincount(LABELS[small.validation]).tolist() == [2] * 10
    assert np.bincount(LABELS[small.test]).tolist() == [1] * 10
    assert all(set(few) <= set(all_of_them) for few, all_of_them in zip(small, parts, strict=True))


def test_a_limit_above_everything_changes_nothing():
    parts = division.divide(LABELS, validation=0.2, test=0.1, seed=1)
    assert division.limit_images(parts, LABELS, LABELS, limit=10_000) is parts


def test_a_limit_below_the_number_of_classes():
    parts = division.divide(LABELS, validation=0.2, test=0.1, seed=1)
    with pytest.raises(ValueError, match="limit of 9 images is less than one for each of the 10 classes"):
        division.limit_images(parts, LABELS, LABELS, limit=9)


def students_of(*takes: tuple[int, str]) -> list[int]:
    numbers = [first + step for first, digits in takes for step in range(len(digits))]
    digits = [int(digit) for _, shown in takes for digit in shown]
    # The folders give the images digit by digit, not in the order they were taken.
    order = np.argsort(digits, kind="stable")
    found = np.empty(len(order), dtype=int)
    found[order] = division.find_students(np.array(numbers)[order], np.array(digits)[order])
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
        division.find_students(np.array([1, 1]), np.array([0, 1]))

"""Comparison: paired, and as sure as the number of persons allows."""

import numpy as np
import pytest

from comparison import compare


def answers(labels):
    return np.eye(4, dtype=np.float32)[labels]


def test_pairs_are_counted():
    labels, owners = np.array([0, 1, 2, 3, 0]), np.array([0, 0, 2, 2, 2])
    shared, personal = answers([0, 0, 2, 0, 0]), answers([0, 1, 1, 3, 0])
    found = compare(labels, owners, shared=shared, personal=personal)
    assert found["only_personal_right"] == 2 and found["only_shared_right"] == 1
    assert found["difference"] == pytest.approx(1 / 5)
    # Person 1 has no image.
    assert found["user_count"] == 2 and found["gains"] == [1, 0]


def test_the_interval_treats_a_person_as_one_case():
    random = np.random.default_rng(4)
    owners = np.repeat(np.arange(40), 10)
    labels = np.zeros(400, int)
    wrong, right = np.ones(400, int), np.zeros(400, int)
    # Half of the persons gain on all of their images: 40 cases, not 400.
    gains = np.repeat(random.permutation([0, 1] * 20), 10).astype(bool)
    found = compare(labels, owners, shared=answers(wrong), personal=answers(np.where(gains, right, wrong)))
    low, high = found["difference_interval"]
    assert found["difference"] == 0.5
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.1)


def test_equal_answers_differ_by_nothing():
    labels = np.array([0, 1, 2])
    found = compare(labels, np.arange(3), shared=answers(labels), personal=answers(labels))
    assert found["difference"] == 0 and found["difference_interval"] == [0, 0]

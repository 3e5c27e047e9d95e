"""What a classifier's answers are worth, checked against cases that can be computed by hand."""

import numpy as np
import pytest

from shared.evaluation import (
    MISTAKES_KEPT,
    compare,
    confusion_matrix,
    evaluate,
    measure_calibration,
    most_confident_mistakes,
    wilson_interval,
)

LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32)


def answers(labels, predictions, confidences, *, class_count=4):
    """Probabilities in which the predicted class has the confidence and the others share the rest."""
    rest = (1 - np.array(confidences)) / (class_count - 1)
    probabilities = np.repeat(rest[:, None], class_count, axis=1)
    probabilities[np.arange(len(labels)), predictions] = confidences
    return np.array(labels), probabilities.astype(np.float32)


def test_evaluation_counts_and_scores():
    evaluation = evaluate(LABELS, PROBABILITIES)
    assert (evaluation["count"], evaluation["mistake_count"], evaluation["accuracy"]) == (4, 1, 0.75)
    assert evaluation["accuracy_interval"] == list(wilson_interval(3, 4))
    assert set(evaluation) == {"count", "mistake_count", "accuracy", "accuracy_interval", "calibration"}


def test_a_perfect_and_certain_model_has_no_error_and_still_an_interval():
    evaluation = evaluate(np.array([0, 1] * 25), np.eye(2, dtype=np.float32)[[0, 1] * 25])
    assert evaluation["mistake_count"] == 0
    assert evaluation["accuracy_interval"] == [pytest.approx(0.9286, abs=1e-4), 1]
    assert evaluation["calibration"]["expected_error"] == evaluation["calibration"]["expected_error_by_chance"] == 0


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # The last two are from the table of Newcombe, "Two-sided confidence intervals for the single proportion" (1998).
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_the_interval_is_that_of_wilson(successes, count, low, high):
    assert wilson_interval(successes, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_matrix_counts_true_classes_in_rows_and_predictions_in_columns():
    assert confusion_matrix(LABELS, PROBABILITIES) == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_calibration_compares_confidence_and_accuracy_in_each_bin_that_has_images():
    confidences = np.array([0.55, 0.57, 0.95, 0.99])
    calibration = measure_calibration(confidences, np.array([True, False, True, True]))
    lower, upper = calibration["bins"]
    assert (lower["low"], lower["high"], lower["count"], lower["accuracy"]) == (0.5, 0.6, 2, 0.5)
    assert (upper["low"], upper["high"], upper["count"], upper["accuracy"]) == (0.9, 1.0, 2, 1.0)
    assert (lower["confidence"], upper["confidence"]) == (pytest.approx(0.56), pytest.approx(0.97))
    assert upper["accuracy_interval"] == list(wilson_interval(2, 2))
    # Half of the images are off by 0.06, half by 0.03.
    assert calibration["expected_error"] == pytest.approx(0.045)


@pytest.mark.parametrize(("confidence", "low"), [(0.7, 0.6), (0.70001, 0.7), (1.0, 0.9), (0.1, 0.0)])
def test_a_bin_holds_its_upper_edge_and_not_its_lower_one(confidence, low):
    (only,) = measure_calibration(np.array([confidence]), np.array([True]))["bins"]
    assert only["low"] == low


@pytest.mark.parametrize(("shift", "calibrated"), [(0.0, True), (-0.15, False), (0.15, False)])
def test_the_error_is_that_of_chance_for_a_calibrated_model_only(shift, calibrated):
    random = np.random.default_rng(2)
    confidences = random.uniform(0.2, 0.8, 2000)
    right = random.random(2000) < confidences + shift
    calibration = measure_calibration(confidences, right)
    ratio = calibration["expected_error"] / calibration["expected_error_by_chance"]
    assert (ratio < 2) == calibrated
    assert calibrated or calibration["expected_error"] == pytest.approx(0.15, abs=0.03)


def test_chance_explains_more_where_there_are_fewer_images_and_is_the_same_each_time():
    confidences = np.random.default_rng(3).uniform(0.5, 1, 3000)
    few, many = (
        measure_calibration(part, np.ones(len(part), bool))["expected_error_by_chance"]
        for part in (confidences[:50], confidences)
    )
    assert few > 4 * many
    assert few == measure_calibration(confidences[:50], np.ones(50, bool))["expected_error_by_chance"]


def test_the_surest_mistakes_come_first_and_right_answers_never():
    labels, probabilities = answers([0, 1, 2, 3, 0], [1, 1, 0, 2, 3], [0.6, 0.99, 0.9, 0.6, 0.7])
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    mistakes = most_confident_mistakes(images, labels, probabilities)
    assert mistakes["indices"].tolist() == [2, 4, 0, 3]
    assert mistakes["labels"].tolist() == [2, 0, 0, 3]
    assert mistakes["predictions"].tolist() == [0, 3, 1, 2]
    assert mistakes["images"][:, 0, 0, 0].tolist() == [2, 4, 0, 3]
    np.testing.assert_array_equal(mistakes["probabilities"], probabilities[[2, 4, 0, 3]])


def test_no_more_mistakes_are_kept_than_a_figure_shows():
    labels, probabilities = answers([0] * 50, [1] * 50, np.linspace(0.5, 0.9, 50))
    images = np.zeros((50, 2, 2, 3), np.uint8)
    assert most_confident_mistakes(images, labels, probabilities)["indices"].tolist() == list(
        range(49, 49 - MISTAKES_KEPT, -1)
    )
    assert most_confident_mistakes(images, labels, probabilities, limit=1)["indices"].tolist() == [49]


def test_without_mistakes_the_arrays_are_empty_and_keep_their_form():
    labels, probabilities = answers([0, 1], [0, 1], [0.6, 0.9])
    mistakes = most_confident_mistakes(np.zeros((2, 5, 6, 3), np.uint8), labels, probabilities)
    assert {name: array.shape for name, array in mistakes.items()} == {
        "indices": (0,), "images": (0, 5, 6, 3), "labels": (0,), "predictions": (0,), "probabilities": (0, 4),
    }  # fmt: skip
    assert mistakes["images"].dtype == np.uint8


def certain(labels):
    return np.eye(4, dtype=np.float32)[labels]


def test_pairs_of_a_shared_and_a_personal_model_are_counted():
    labels, users = np.array([0, 1, 2, 3, 0]), np.array([0, 0, 2, 2, 2])
    shared, personal = certain([0, 0, 2, 0, 0]), certain([0, 1, 1, 3, 0])
    found = compare(labels, users, shared=shared, personal=personal)
    assert found["only_personal_right"] == 2 and found["only_shared_right"] == 1
    assert found["difference"] == pytest.approx(1 / 5)
    # User 1 has no image.
    assert found["gains"] == [1, 0]


def test_the_interval_treats_a_user_as_one_case():
    random = np.random.default_rng(4)
    users = np.repeat(np.arange(40), 10)
    labels = np.zeros(400, int)
    wrong, right = np.ones(400, int), np.zeros(400, int)
    # Half of the users gain on all of their images: 40 cases, not 400.
    gains = np.repeat(random.permutation([0, 1] * 20), 10).astype(bool)
    found = compare(labels, users, shared=certain(wrong), personal=certain(np.where(gains, right, wrong)))
    low, high = found["difference_interval"]
    assert found["difference"] == 0.5
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.1)


def test_equal_answers_differ_by_nothing():
    labels = np.array([0, 1, 2])
    found = compare(labels, np.arange(3), shared=certain(labels), personal=certain(labels))
    assert found["difference"] == 0 and found["difference_interval"] == [0, 0]

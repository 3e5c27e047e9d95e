"""What a classifier's answers are worth: accuracy with its uncertainty, calibration, and the mistakes."""

import math
from typing import Any

import numpy as np

BIN_COUNT = 10
MISTAKES_KEPT = 12
# Half the width of a 95 % interval, in standard deviations of a normal distribution.
_QUANTILE = 1.959964
_BOOTSTRAP_ROUNDS = 10_000


def evaluate(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Compare predictions, float32 probabilities (N, C), with the true labels, int64 (N,), at least one.

    Returns:
        ``count`` (N), ``mistake_count``, ``accuracy`` (0 to 1) and its 95 % ``accuracy_interval``, and ``calibration``
        as `measure_calibration` returns it.
    """
    right = probabilities.argmax(axis=1) == labels
    return {
        "count": len(labels),
        "mistake_count": int((~right).sum()),
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson_interval(int(right.sum()), len(labels))),
        "calibration": measure_calibration(probabilities.max(axis=1), right),
    }


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share that was measured on some of all possible cases, at least one.

    Edwin B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927). It stays between 0 and 1 and has a width even where every case is a success.
    It takes the cases for independent: ten pictures of one hand tell less than ten hands.
    """
    share, weight = successes / count, _QUANTILE**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = _QUANTILE * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    # With no or only successes one end is exactly 0 or 1, which rounding would miss.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == count else middle + half)


def measure_calibration(confidences: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Compare how sure the model is, the probabilities (N,) of predicted classes, with what is right, bool (N,).

    Chuan Guo, Geoff Pleiss, Yu Sun and Kilian Q. Weinberger, "On Calibration of Modern Neural Networks" (2017). The
    bins are of equal width, as there: a bin means the same in every model, and its edges are round numbers. Bins
    of equal count would crowd above 0.99 in a good model. A bin with few images shows it by its wide interval.

    Returns:
        ``expected_error``: the gap between confidence and accuracy, as a mean over the images (0 to 1);
        ``expected_error_by_chance``: what a perfectly calibrated model shows on as many images, because few images
        in a bin scatter; ``bins``: for each bin that has images, ``low`` (exclusive), ``high`` (inclusive),
        ``count``, mean ``confidence``, ``accuracy`` and its 95 % ``accuracy_interval``.
    """
    confidences = confidences.astype(np.float64)
    edges = np.linspace(0, 1, BIN_COUNT + 1)
    places = np.digitize(confidences, edges[1:-1], right=True)
    counts, sums, successes = (
        np.bincount(places, weights=weights, minlength=BIN_COUNT) for weights in (None, confidences, right)
    )
    bins = [
        {
            "low": round(float(edges[index]), 6),
            "high": round(float(edges[index + 1]), 6),
            "count": int(counts[index]),
            "confidence": float(sums[index] / counts[index]),
            "accuracy": float(successes[index] / counts[index]),
            "accuracy_interval": list(wilson_interval(int(successes[index]), int(counts[index]))),
        }
        for index in np.flatnonzero(counts)
    ]
    return {
        "expected_error": _calibration_error(confidences, right, places),
        "expected_error_by_chance": _error_by_chance(confidences, places),
        "bins": bins,
    }


def compare(labels: np.ndarray, users: np.ndarray, *, shared: np.ndarray, personal: np.ndarray) -> dict[str, Any]:
    """Say how much more often personal models are right than a shared one on the same images, and how sure that is.

    The interval is that of a bootstrap over users (Bradley Efron, "Bootstrap Methods: Another Look at the Jackknife",
    1979): the images of one user are alike, so a user is drawn with all of them.

    Args:
        labels: int64 (N,), the true classes.
        users: int64 (N,), the user of each image, from 0.
        shared: float32 probabilities (N, C) that the shared model gives.
        personal: The same of the model of each image's user.

    Returns:
        ``difference`` of the accuracies (-1 to 1, above 0 if personal models are better) and its 95 %
        ``difference_interval``; ``only_personal_right`` and ``only_shared_right``, counts of images;
        and ``gains``: for each user with images, how many more of them the personal model labels rightly.
    """
    right = {name: found.argmax(axis=1) == labels for name, found in (("shared", shared), ("personal", personal))}
    amounts = np.bincount(users)
    gains = np.bincount(users, weights=right["personal"].astype(float) - right["shared"])[amounts > 0]
    amounts = amounts[amounts > 0]
    drawn = np.random.default_rng(0).integers(len(gains), size=(_BOOTSTRAP_ROUNDS, len(gains)))
    differences = gains[drawn].sum(axis=1) / amounts[drawn].sum(axis=1)
    return {
        "difference": float(gains.sum() / amounts.sum()),
        "difference_interval": np.quantile(differences, [0.025, 0.975]).tolist(),
        "only_personal_right": int((right["personal"] & ~right["shared"]).sum()),
        "only_shared_right": int((right["shared"] & ~right["personal"]).sum()),
        "gains": gains.astype(int).tolist(),
    }


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> list[list[int]]:
    """Count how often each class was predicted, by float32 probabilities (N, C), for each true class.

    The labels are int64 (N,). Returns a list of C counts, one for each predicted class, for each of the C classes.
    """
    class_count = probabilities.shape[1]
    counts = np.zeros((class_count, class_count), dtype=np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts.tolist()


def most_confident_mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, *, limit: int = MISTAKES_KEPT
) -> dict[str, np.ndarray]:
    """Pick the images, at most `limit`, on which the model was wrong and most sure of it, the surest first.

    The images are uint8 (N, H, W, 3), the labels int64 (N,), the probabilities float32 (N, C).

    Returns:
        Arrays of equal length M, which is 0 for a model without mistakes: ``indices`` (the places in the split),
        ``images``, ``labels`` (true), ``predictions``, and ``probabilities`` (M, C).
    """
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    # A stable sort, so that equally sure mistakes keep the order of the split.
    indices = wrong[np.argsort(-confidences[wrong], kind="stable")][:limit]
    return {
        "indices": indices,
        "images": images[indices],
        "labels": labels[indices],
        "predictions": predictions[indices],
        "probabilities": probabilities[indices],
    }


def _calibration_error(confidences: np.ndarray, right: np.ndarray, places: np.ndarray) -> float:
    """Return the gaps between the bins' confidence and accuracy, weighted by the images in each."""
    gaps = np.bincount(places, weights=right - confidences, minlength=BIN_COUNT)
    return float(np.abs(gaps).sum() / len(confidences))


def _error_by_chance(confidences: np.ndarray, places: np.ndarray, *, rounds: int = 200) -> float:
    """Return the mean error of a model that is right exactly as often as it says, over outcomes drawn from that.

    Jochen Bröcker and Leonard A. Smith, "Increasing the Reliability of Reliability Diagrams" (2007).
    """
    random = np.random.default_rng(0)
    drawn = (random.random(len(confidences)) < confidences for _ in range(rounds))
    return float(np.mean([_calibration_error(confidences, right, places) for right in drawn]))

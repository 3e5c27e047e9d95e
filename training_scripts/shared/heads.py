"""Heads: the last layers of a classifier, one for each user, all of them fitted in one computation.

A personal head is the shared head and a personal change to it. The change is regularized towards zero, so that a few
images move the head as far as they have to and no further (Theodoros Evgeniou and Massimiliano Pontil, "Regularized
Multi-Task Learning", 2004). With an infinite regularization strength the personal head is the shared one.
"""

from typing import Any

import keras
import numpy as np

from shared.evaluation import compare

# From next to no change to almost free ones.
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
STEPS = 400
_MOMENTUM = 0.95


def head_of(layer: keras.layers.Dense) -> np.ndarray:
    """Return the weights of a dense layer of C units on E inputs, the bias as the last row: float32 (E + 1, C)."""
    kernel, bias = layer.get_weights()
    return np.concatenate([kernel, bias[None]])


def fit_heads(
    embedded: np.ndarray,
    labels: np.ndarray,
    users: np.ndarray,
    *,
    count: int,
    start: np.ndarray,
    strength: float,
    steps: int = STEPS,
) -> np.ndarray:
    """Fit one head for each user, by gradient descent with Nesterov's momentum on all of them at once.

    The change of a head is a weighted sum of the user's own images. So the descent moves one weight for each image
    and class, however many numbers describe an image.

    Args:
        embedded: What the head reads of each image, float32 (N, E).
        labels: int64 (N,).
        users: int64 (N,), the user of each image, from 0.
        count: Number of users U; a user without images keeps the start.
        start: Shared head that all begin with, (E + 1, C).
        strength: Regularization strength, above 0: half its product with the squared change is added to the sum of
            the user's cross-entropies.
        steps: Steps of the descent.

    Returns:
        float32 (U, E + 1, C).
    """
    places = _by_user(users, count)
    present = (places >= 0)[:, :, None]
    features = _with_constant(embedded)[places] * present
    targets = np.eye(start.shape[1], dtype=np.float32)[labels[places]] * present
    similarity = features @ features.transpose(0, 2, 1)
    scores = features @ start
    # A softmax bends by a half at most, so no step overshoots.
    curvature = 0.5 * np.linalg.norm(similarity, axis=(1, 2), keepdims=True) + strength
    weights, speed = np.zeros_like(targets), np.zeros_like(targets)
    for _ in range(steps):
        ahead = weights + _MOMENTUM * speed
        gradient = _softmax(scores + similarity @ ahead) * present - targets + strength * ahead
        speed = _MOMENTUM * speed - gradient / curvature
        weights += speed
    heads: np.ndarray = (start + features.transpose(0, 2, 1) @ weights).astype(np.float32)
    return heads


def classify(embedded: np.ndarray, users: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Ask each image's own head: float32 probabilities of shape (N, C); the arguments are those of `fit_heads`."""
    return _softmax(np.einsum("ne,nec->nc", _with_constant(embedded), heads[users])).astype(np.float32)


def choose_strength(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    count: int,
    start: np.ndarray,
) -> tuple[float, dict[str, list[Any]]]:
    """Find the regularization strength with which heads fitted to the training images do best on the validation images.

    Both parts are what the head reads of the images, labels, and users, as for `fit_heads`.

    Returns:
        The strength, the highest of those that do equally well, and lists of equal length: ``strength``,
        ``val_accuracy``, and by how much that exceeds the shared head's accuracy: ``difference`` and its 95 %
        ``difference_interval``.
    """
    embedded, labels, users = validation
    shared = classify(embedded, np.zeros_like(users), start[None])
    tried: dict[str, list[Any]] = {"strength": [], "val_accuracy": [], "difference": [], "difference_interval": []}
    for strength in STRENGTHS:
        personal = classify(embedded, users, fit_heads(*train, count=count, start=start, strength=strength))
        found = compare(labels, users, shared=shared, personal=personal)
        found |= {"strength": strength, "val_accuracy": float((personal.argmax(axis=1) == labels).mean())}
        for name, values in tried.items():
            values.append(found[name])
    return STRENGTHS[int(np.argmax(tried["val_accuracy"]))], tried


def _by_user(users: np.ndarray, count: int) -> np.ndarray:
    """Return the places of each user's images, int64 (U, most images of one), filled up with -1."""
    amounts = np.bincount(users, minlength=count)
    places = np.full((count, max(1, int(amounts.max(initial=0)))), -1, dtype=np.int64)
    order = np.argsort(users, kind="stable")
    places[np.arange(places.shape[1]) < amounts[:, None]] = order
    return places


def _with_constant(embedded: np.ndarray) -> np.ndarray:
    """Append the 1 that the bias is multiplied with."""
    return np.concatenate([embedded, np.ones((len(embedded), 1), np.float32)], axis=1)


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities

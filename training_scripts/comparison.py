"""Comparison of two models on the same images of the same persons."""

from typing import Any

import numpy as np

ROUNDS = 10_000


def compare(labels: np.ndarray, owners: np.ndarray, *, shared: np.ndarray, personal: np.ndarray) -> dict[str, Any]:
    """Say how much more often personal models are right than a shared one, and how sure that is.

    The comparison is paired: both answer for the same images. The interval is that of a bootstrap over persons (Bradley
    Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979), because the images of one person are alike: a
    person is drawn with all of their images.

    Args:
        labels: int64 array of shape (N,).
        owners: int64 array of shape (N,): the person behind each image, from 0.
        shared: float32 array of shape (N, C): probabilities that the shared model gives.
        personal: The same of the models of the images' owners.

    Returns:
        ``difference`` of the accuracies (-1 to 1, above 0 if personal models are better) and its 95 %
        ``difference_interval``; ``only_personal_right`` and ``only_shared_right``, counts of images; ``user_count``;
        and ``gains``: for each person with images, how many more of them the personal model labels rightly.
    """
    right = {name: found.argmax(axis=1) == labels for name, found in (("shared", shared), ("personal", personal))}
    amounts = np.bincount(owners)
    gains = np.bincount(owners, weights=right["personal"].astype(float) - right["shared"])[amounts > 0]
    amounts = amounts[amounts > 0]
    drawn = np.random.default_rng(0).integers(len(gains), size=(ROUNDS, len(gains)))
    differences = gains[drawn].sum(axis=1) / amounts[drawn].sum(axis=1)
    return {
        "difference": float(gains.sum() / amounts.sum()),
        "difference_interval": np.quantile(differences, [0.025, 0.975]).tolist(),
        "only_personal_right": int((right["personal"] & ~right["shared"]).sum()),
        "only_shared_right": int((right["shared"] & ~right["personal"]).sum()),
        "user_count": len(gains),
        "gains": gains.astype(int).tolist(),
    }

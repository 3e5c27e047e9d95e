"""Popularity: what share of all calls each of many models gets."""

import numpy as np
from numpy.typing import NDArray


def zipf(count: int, exponent: float) -> NDArray[np.float64]:
    """Return the popularity of models by Zipf's law: the k-th gets a share in proportion to 1 / k to the exponent.

    Args:
        count: Number of models.
        exponent: 0 for equal shares; web and video traffic is mostly found between 0.6 and 1.2.

    Returns:
        float64 array (count,) that sums to 1, the most popular model first.

    Raises:
        ValueError: If there is no model, or the exponent is negative.
    """
    if count < 1 or exponent < 0:
        raise ValueError(f"Zipf's law needs a model and an exponent of at least 0, not {count} and {exponent}.")
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / float(weights.sum())

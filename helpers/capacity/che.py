"""The hit ratio of a cache that drops the least recently used model, without a simulation.

Che's approximation: a model is in the cache when it was called within the *characteristic time*, which is taken to be
the same for all models. H. Che, Y. Tung, Z. Wang, "Hierarchical Web Caching Systems: Modeling, Design and Experimental
Results", IEEE Journal on Selected Areas in Communications 20(7), 2002. Time is counted in calls.

Several instances count as one cache of their joint capacity: a call goes to the instance that holds its model, so a
model that is not hot is held once.
"""

from collections.abc import Sequence

import numpy as np

_STEPS = 200  # Newton's method needs about ten, and more where hardly any model stays outside


def characteristic_time(popularity: np.ndarray, capacity: float) -> float:
    """Return after how many calls of other models a model leaves the cache.

    Args:
        popularity: float array (N,) that sums to 1.
        capacity: Models in the cache, above 0.

    Returns:
        A number of calls; infinite if all models fit.

    Raises:
        ValueError: If nothing fits.
    """
    if capacity <= 0:
        raise ValueError(f"A cache of {capacity} models holds none. Give a capacity above 0.")
    if capacity >= np.count_nonzero(popularity):
        return np.inf
    # The expected number of cached models is concave in the time, so that Newton's steps climb to the root from below.
    time = float(capacity)
    for _ in range(_STEPS):
        absent = np.exp(-popularity * time)
        missing = capacity - np.sum(1 - absent)
        time += missing / np.sum(popularity * absent)
        if missing < 1e-6 * capacity:
            break
    return time


def hit_ratio(popularity: np.ndarray, capacity: float) -> float:
    """Return the share of calls, 0 to 1, that find their model loaded.

    Args:
        popularity: float array (N,) that sums to 1.
        capacity: Models that all instances hold together.
    """
    return _hit_ratio(popularity, characteristic_time(popularity, capacity))


def curve(popularity: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Return the hit ratio for several shares of the models, above 0 to 1, that fit."""
    return [hit_ratio(popularity, share * len(popularity)) for share in shares]


def capacity_for(popularity: np.ndarray, wanted: float) -> int:
    """Return how many models must fit for a wanted hit ratio.

    Args:
        popularity: float array (N,) that sums to 1.
        wanted: Hit ratio, 0 to 1. At 1 all models must fit.
    """
    if not 0 <= wanted <= 1:
        raise ValueError(f"A hit ratio lies between 0 and 1, and {wanted} does not.")
    low, high = 0.0, 1.0
    while _hit_ratio(popularity, high) < wanted:
        if high > 1e15:
            return len(popularity)
        low, high = high, 4 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _hit_ratio(popularity, middle) < wanted else (low, middle)
    return min(len(popularity), int(np.ceil(np.sum(1 - np.exp(-popularity * high)))))


def _hit_ratio(popularity: np.ndarray, time: float) -> float:
    return float(np.sum(popularity * (1 - np.exp(-popularity * time))))

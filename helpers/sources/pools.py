"""Images before they are read, and what the two data sets of the series are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_SIZE = 32
DIGITS = tuple("0123456789")
DIGIT_SIZE = 100


@dataclass(frozen=True, eq=False)
class Pool:
    """Images that can be had by number: their labels are known, their pixels are not read or drawn yet."""

    labels: np.ndarray  # int64 array (N,), index of each image's class
    # Takes an int array (M,) of numbers and gives a uint8 array (M, size, size, 3), RGB
    read: Callable[[np.ndarray], np.ndarray]
    students: np.ndarray | None = None  # int64 array (N,), who is on each image, where that is known

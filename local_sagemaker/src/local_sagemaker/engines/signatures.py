"""What a signature of a loaded model is to its callers, whichever engine computes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Signature:
    """One signature of a loaded model. Threads may call it at the same time.

    ``call`` takes the inputs by name, and returns the outputs by name, in alphabetical order. It raises
    ``tf.errors.OpError`` if the model fails, or does not take inputs of these shapes.
    """

    specifications: Mapping[str, tf.TensorSpec]  # of every input, by name
    outputs: Mapping[str, tf.TensorSpec]  # the same of every output
    call: Callable[[Arrays], Arrays]

"""What a signature of a loaded model is to its callers: a protocol, which each engine implements."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

Arrays = dict[str, np.ndarray]


class Signature(Protocol):
    """One signature of a loaded model. Threads may call it at the same time."""

    specifications: Mapping[str, tf.TensorSpec]  # of every input, by name
    outputs: Mapping[str, tf.TensorSpec]  # the same of every output

    def call(self, inputs: Arrays) -> Arrays:
        """Return the outputs by name, in alphabetical order.

        Raises:
            tf.errors.OpError: If the model fails, or does not take inputs of these shapes.
        """

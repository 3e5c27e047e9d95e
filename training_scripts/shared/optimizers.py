"""Muon: an optimizer that moves the kernels of convolutions equally far in all directions."""

import math

import keras
import tensorflow as tf

_MOMENTUM = 0.95
# Of an odd polynomial of degree five, whose repetition takes all singular values of a matrix near one.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_REPETITIONS = 5
# Root mean square of a step at a learning rate of one: that of AdamW.
_STEP = 0.2


class Muon(keras.optimizers.AdamW):
    """AdamW, with steps of Muon for the kernels of convolutions.

    A gradient is mostly made of a few directions. Muon takes the momentum of a kernel as a matrix, a column for each
    filter, and steps along the nearest orthogonal one: rare directions move as far as common ones. Everything else
    takes steps of AdamW, at a tenth of the learning rate; weight decay is the same for all.

    Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024), and for the length of a step
    Liu and others, "Muon is Scalable for LLM Training" (arXiv:2502.16982). Keras' own Muon leaves out convolutions.
    """

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Change one variable, as Keras asks for."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, 0.1 * learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, _MOMENTUM * momentum + gradient)
        matrix = tf.reshape(gradient + _MOMENTUM * momentum, (-1, variable.shape[-1]))
        step = _STEP * math.sqrt(max(matrix.shape)) * orthogonalize(matrix)
        self.assign_sub(variable, learning_rate * tf.reshape(step, variable.shape))


def orthogonalize(matrix: tf.Tensor) -> tf.Tensor:
    """Return about the nearest matrix whose singular values are all one, by the iteration of Newton and Schulz.

    Args:
        matrix: float32 tensor (M, N).

    Returns:
        Tensor (M, N); its singular values lie between 0.6 and 1.3.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if is_tall else matrix
    x /= tf.norm(x) + 1e-7
    first, third, fifth = _COEFFICIENTS
    for _ in range(_REPETITIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = first * x + tf.matmul(third * square + fifth * tf.matmul(square, square), x)
    return tf.transpose(x) if is_tall else x

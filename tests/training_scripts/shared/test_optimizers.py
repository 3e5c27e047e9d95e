"""Muon: orthogonal steps for the kernels of convolutions, those of AdamW for everything else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.optimizers import Muon, orthogonalize

LEARNING_RATE = 0.1


def take_step(optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...]) -> np.ndarray:
    """Return how far one step moves a variable along a random gradient."""
    variable = keras.Variable(tf.zeros(shape))
    optimizer.apply([tf.random.stateless_normal(shape, (1, 2))], [variable])
    return variable.numpy()


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (16, 16)])
def test_an_orthogonal_matrix_keeps_the_directions_and_loses_the_lengths(shape):
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = orthogonalize(tf.constant(matrix)).numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    lengths = np.diag(left.T @ found @ right.T)
    assert lengths.min() > 0.6 and lengths.max() < 1.3
    np.testing.assert_allclose(found, left * lengths @ right, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 4, 64)])
def test_a_kernel_moves_equally_far_in_all_directions_and_as_far_as_by_adamw(shape):
    step = take_step(Muon(LEARNING_RATE, weight_decay=0.0), shape)
    lengths = np.linalg.svd(step.reshape(-1, shape[-1]), compute_uv=False)
    assert lengths.max() < 2.2 * lengths.min()
    assert np.sqrt((step**2).mean()) == pytest.approx(0.2 * LEARNING_RATE, rel=0.3)


@pytest.mark.parametrize("shape", [(16,), (40, 12)])
def test_other_weights_take_steps_of_adamw_at_a_tenth_of_the_learning_rate(shape):
    steps = [
        take_step(optimizer, shape) for optimizer in (Muon(LEARNING_RATE), keras.optimizers.AdamW(LEARNING_RATE / 10))
    ]
    np.testing.assert_allclose(*steps, rtol=1e-5)


def test_momentum_carries_a_kernel_on():
    shape = (3, 3, 2, 4)
    variable, optimizer = keras.Variable(tf.zeros(shape)), Muon(LEARNING_RATE, weight_decay=0.0)
    optimizer.apply([tf.random.stateless_normal(shape, (1, 2))], [variable])
    first = variable.numpy()
    optimizer.apply([tf.zeros(shape)], [variable])
    # Without momentum it would stay; with it, the second step is the first again.
    np.testing.assert_allclose(variable.numpy() - first, first, rtol=1e-3, atol=1e-5)

"""Augmentation: mirrored or not, shifted by a few pixels, nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from shared.augmentation import mirror_and_shift, shift

RAMP = np.broadcast_to(np.arange(16, dtype=np.uint8) * 10, (16, 16))  # brighter to the right
IMAGES = np.repeat(np.stack([RAMP, RAMP.T, np.full_like(RAMP, 7)], axis=-1)[None], 200, axis=0)


@pytest.fixture(scope="module")
def changed() -> np.ndarray:
    return mirror_and_shift(tf.constant(IMAGES), tf.constant([1, 2], tf.int64)).numpy()


def test_shape_and_dtype_stay(changed):
    assert changed.shape == IMAGES.shape and changed.dtype == np.uint8


def test_about_half_of_the_images_are_mirrored_and_never_turned(changed):
    middle = changed[:, 8, 4:12].astype(int)
    rising = (middle[:, -1, 0] > middle[:, 0, 0]).sum()
    assert 70 < rising < 130
    assert (changed[:, 11, 8, 1] > changed[:, 4, 8, 1]).all()  # never upside down


def test_shifts_take_every_step_up_to_two_pixels_in_both_directions(changed):
    vertical = {int(value) for value in (changed[:, 8, 8, 1].astype(int) - 80) // 10}
    assert vertical == set(range(-2, 3))


def test_the_three_channels_move_together(changed):
    assert (changed[..., 2] == 7).all()
    interior = changed[:, 4:12, 4:12]
    assert (interior[:, :, :, 1] == interior[:, :, :1, 1]).all()  # rows stay rows
    assert (interior[:, :, :, 0] == interior[:, :1, :, 0]).all()  # columns stay columns


def test_the_seed_decides(changed):
    again, other = (mirror_and_shift(tf.constant(IMAGES), tf.constant(seed, tf.int64)) for seed in ([1, 2], [1, 3]))
    assert (again.numpy() == changed).all()
    assert (other.numpy() != changed).any()


def test_features_of_any_depth_are_shifted_and_never_mirrored():
    features = tf.constant(np.repeat(IMAGES, 2, axis=-1)[..., :5], tf.float32)
    shifted = shift(features, tf.constant([1, 2], tf.int64)).numpy()
    assert shifted.shape == features.shape
    steps = {tuple(found) for found in (shifted[:, 8, 8, [0, 2]] - 80).tolist()}
    assert steps == {(x, y) for x in (-10, 0, 10) for y in (-10, 0, 10)}
    assert (shifted[:, 8, 12, 0] > shifted[:, 8, 4, 0]).all()

"""Random changes of training images that keep their class, made for whole batches at once.

Mirroring and moving by a few pixels are what Krizhevsky, Sutskever and Hinton used for AlexNet (2012). Both only
look pixels up, so a batch of bytes stays bytes; turning images would need arithmetic, for all pixels of all images.
"""

import tensorflow as tf


def mirror_and_shift(images: tf.Tensor, seed: tf.Tensor, *, pixels: int = 4) -> tf.Tensor:
    """Mirror each image or not, and move it by up to so many pixels, reflecting what comes in at the edges.

    Args:
        images: Tensor of shape (B, H, W, 3), of any dtype.
        seed: int64 tensor of shape (2,): the same seed changes the same images in the same way.
        pixels: Largest shift to each side.

    Returns:
        Tensor of the same shape and dtype.
    """
    mirror_seed, row_seed, column_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 3))

    is_mirrored = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), mirror_seed) < 0.5
    images = tf.where(is_mirrored, images[:, :, ::-1], images)
    return _shift(images, row_seed, column_seed, pixels)


def shift(features: tf.Tensor, seed: tf.Tensor, *, pixels: int = 1) -> tf.Tensor:
    """Move each image, or the features of each, by up to so many pixels, reflecting what comes in at the edges.

    Features of convolutions move with their image, but those of a mirrored image are not mirrored ones.

    Args:
        features: Tensor of shape (B, H, W, channels), of any dtype.
        seed: int64 tensor of shape (2,), as for `mirror_and_shift`.
        pixels: Largest shift to each side.

    Returns:
        Tensor of the same shape and dtype.
    """
    row_seed, column_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    return _shift(features, row_seed, column_seed, pixels)


def _shift(images: tf.Tensor, row_seed: tf.Tensor, column_seed: tf.Tensor, pixels: int) -> tf.Tensor:
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    images = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], mode="REFLECT")
    rows = _windows(count, length=height, seed=row_seed, largest=2 * pixels)
    columns = _windows(count, length=width, seed=column_seed, largest=2 * pixels)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _windows(count: tf.Tensor, *, length: int, seed: tf.Tensor, largest: int) -> tf.Tensor:
    """Return indices of shape (count, length): for each image a run that starts somewhere from 0 to `largest`."""
    starts = tf.random.stateless_uniform((count, 1), seed, minval=0, maxval=largest + 1, dtype=tf.int32)
    return starts + tf.range(length)

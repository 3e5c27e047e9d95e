"""Random changes of training images that keep their class, made for whole batches at once.

Mirroring and moving by a few pixels are what Krizhevsky, Sutskever and Hinton used for AlexNet (2012). Both only
look pixels up, so a batch of bytes stays bytes; turning images would need arithmetic, for all pixels of all images.
"""

import tensorflow as tf


def mirror_and_shift(images: tf.Tensor, seed: tf.Tensor, *, pixels: int = 2) -> tf.Tensor:
    """Mirror each image or not, and move it by up to so many pixels, reflecting what comes in at the edges.

    Args:
        images: Tensor of shape (B, H, W, 3), of any dtype.
        seed: int64 tensor of shape (2,): the same seed changes the same images in the same way.
        pixels: Largest shift to each side. Two suit a training of about ten epochs, four a longer one.

    Returns:
        Tensor of the same shape and dtype.
    """
    mirror_seed, row_seed, column_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    is_mirrored = tf.random.stateless_uniform((tf.shape(images)[0], 1), mirror_seed) < 0.5
    return _shift(images, row_seed, column_seed, pixels, is_mirrored)


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


def _shift(
    images: tf.Tensor, row_seed: tf.Tensor, column_seed: tf.Tensor, pixels: int, is_mirrored: tf.Tensor | bool = False
) -> tf.Tensor:
    """Look each pixel up once: padding and mirroring the images first takes seven times as long."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    rows = _positions(count, length=height, seed=row_seed, largest=pixels)
    columns = _positions(count, length=width, seed=column_seed, largest=pixels)
    columns = tf.where(is_mirrored, width - 1 - columns, columns)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def _positions(count: tf.Tensor, *, length: int, seed: tf.Tensor, largest: int) -> tf.Tensor:
    """Return where the pixels of shifted lines come from, (count, length); beyond an edge, the line is reflected."""
    shifts = tf.random.stateless_uniform((count, 1), seed, minval=0, maxval=2 * largest + 1, dtype=tf.int32) - largest
    last = length - 1
    return last - tf.abs(last - tf.abs(shifts + tf.range(length)))

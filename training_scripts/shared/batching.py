"""Batches of inputs and one-hot labels, in an order that depends on the seed and the epoch alone.

Because the order of an epoch needs nothing from the epochs before it, a training that was interrupted goes on
exactly as it would have, and several ranks agree on who takes which image without talking to each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Batches that are prepared while the model computes on one.
_BATCHES_AHEAD = 2


def training_batches(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    class_count: int,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    epochs: int,
    rank: int = 0,
    rank_count: int = 1,
    augment: Augmentation | None = None,
) -> tf.data.Dataset:
    """Shuffle anew in every epoch and deliver all epochs in a row, each of :func:`steps_per_epoch` batches.

    Every epoch leaves out the last images of its order, fewer than a batch, so that all batches are alike.

    Args:
        inputs: Array of shape (N, ...): images, or features computed from them; may be a memory map.
        labels: int64 array of shape (N,).
        class_count: Length of a one-hot label, C.
        batch_size: Pairs in an optimizer step, over all ranks together.
        seed: Decides the order and the augmentation.
        first_epoch: Epoch to begin with, from 0.
        epochs: Epoch to end before.
        rank: Which of the ranks this is, from 0.
        rank_count: Ranks that share each batch.
        augment: Changes a batch of inputs at random, given a seed of shape (2,).

    Returns:
        Data set of pairs: inputs (B, ...) in their own dtype, and float32 labels (B, C), where B is the batch
        size divided by the number of ranks.

    Raises:
        ValueError: The ranks cannot share a batch equally, or there are fewer images than one batch holds.
    """
    steps = steps_per_epoch(len(labels), batch_size=batch_size)
    if batch_size % rank_count:
        raise ValueError(f"A batch of {batch_size} cannot be shared equally by {rank_count} ranks.")

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(len(labels)), seed=[seed, epoch])
        indices = tf.reshape(shuffled[: steps * batch_size], (steps, batch_size))
        return tf.data.Dataset.from_tensor_slices(indices[:, rank::rank_count])

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(order)
    dataset = dataset.map(_lookup(inputs, labels, class_count))
    if augment is not None:

        def augmented(step: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            batch, targets = pair
            return augment(batch, tf.stack([tf.constant(seed, tf.int64), step * rank_count + rank])), targets

        dataset = dataset.enumerate(first_epoch * steps).map(augmented, num_parallel_calls=_BATCHES_AHEAD)
    return _prefetch(dataset)


def steps_per_epoch(count: int, *, batch_size: int) -> int:
    """Return the number of whole batches in `count` images.

    Raises:
        ValueError: There is not one.
    """
    if count < batch_size:
        raise ValueError(f"{count} training images are fewer than one batch of {batch_size}. Lower --batch-size.")
    return count // batch_size


def batches(
    inputs: np.ndarray, labels: np.ndarray | None = None, *, class_count: int = 0, batch_size: int
) -> tf.data.Dataset:
    """Deliver all inputs once, in their order; the last batch may be smaller.

    Args:
        inputs: Array of shape (N, ...): images, or features computed from them; may be a memory map.
        labels: int64 array of shape (N,); None delivers inputs alone.
        class_count: Length of a one-hot label, C.
        batch_size: Inputs in a batch.

    Returns:
        Data set of inputs (B, ...) in their own dtype, or of pairs of these and float32 labels (B, C).
    """
    dataset = tf.data.Dataset.range(len(inputs)).batch(batch_size)
    return _prefetch(dataset.map(_lookup(inputs, labels, class_count)))


def _prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Prepare batches while the model computes, without the tuner of tf.data.

    The tuner would choose the number of batches ahead. In TensorFlow 2.21 its thread can miss that the data set is no
    longer used, and whoever lets go of the data set then waits for it, up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def _lookup(inputs: np.ndarray, labels: np.ndarray | None, class_count: int) -> Callable[[tf.Tensor], Any]:
    """Return a function from indices to inputs, and to one-hot labels if there are labels.

    NumPy looks the inputs up, because TensorFlow would copy all of them into memory first.
    """

    def look_up(indices: tf.Tensor) -> Any:
        batch = tf.numpy_function(inputs.__getitem__, [indices], inputs.dtype, stateful=False)
        batch.set_shape((indices.shape[0], *inputs.shape[1:]))
        return batch if labels is None else (batch, tf.one_hot(tf.gather(labels, indices), class_count))

    return look_up

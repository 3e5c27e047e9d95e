"""Fitting: what all models have in common between their first step and their last."""

import argparse
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from batching import Augmentation, batches, input_batches, steps_per_epoch, training_batches
from checkpoints import Checkpoint
from reporting import EpochReporter
from splits import Splits
from workers import Workers

# Images in a batch that is only looked at; no result depends on it.
EVALUATION_BATCH = 200


def fit(
    model: keras.Model,
    inputs: Sequence[np.ndarray],
    splits: Splits,
    arguments: argparse.Namespace,
    *,
    provenance: dict[str, Any],
    augment: Augmentation | None = None,
    workers: Workers | None = None,
) -> dict[str, list[float]]:
    """Train a compiled model, from where its checkpoint left it, and say how each epoch went.

    Args:
        model: The network, compiled.
        inputs: Arrays (N, ...) that it sees of each split, in the order of ``Splits.images``: images, or features
            computed from them; may be memory maps.
        splits: The data set, for its labels.
        arguments: Those of ``arguments.create_parser``: epochs, batch_size, seed and checkpoint_dir.
        provenance: What ``reporting.describe_origin`` collected; receives ``resumed_at``.
        augment: Changes a batch of inputs at random, given a seed of shape (2,).
        workers: Those that train the model together, with the optimizer's gradients averaged; None for this process
            alone.

    Returns:
        What ``EpochReporter`` kept of each epoch.

    Raises:
        ValueError: There are fewer images than one batch holds, or the checkpoint is that of another training.
        ArithmeticError: A loss is no longer a finite number.
    """
    workers = workers or Workers()
    class_count = len(splits.class_names)
    reporter = EpochReporter()
    checkpoint = Checkpoint(arguments.checkpoint_dir, origin=provenance, history=reporter.history)
    first_epoch = workers.agree(checkpoint.restore(model))
    provenance["resumed_at"] = checkpoint.resumed_at
    train = training_batches(
        inputs[0],
        splits.train.labels,
        class_count=class_count,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        first_epoch=first_epoch,
        epochs=arguments.epochs,
        worker=workers.rank,
        worker_count=workers.count,
        augment=augment,
    )
    validation = batches(inputs[1], splits.validation.labels, class_count=class_count, batch_size=EVALUATION_BATCH)
    model.fit(
        train,
        validation_data=validation if workers.is_first else None,
        initial_epoch=first_epoch,
        epochs=arguments.epochs,
        steps_per_epoch=steps_per_epoch(len(splits.train.labels), batch_size=arguments.batch_size),
        shuffle=False,  # the data set shuffles itself, and Keras would warn that it cannot
        verbose=0,
        callbacks=workers.callbacks(reporter, checkpoint),
    )
    return reporter.history


def predict(model: keras.Model, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the probabilities (N, C) that a model gives to the inputs of each split, which may be memory maps."""
    return [model.predict(input_batches(array, batch_size=EVALUATION_BATCH), verbose=0) for array in inputs]

"""Training: what all scripts do between the arguments and the model that they leave."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared import ranks
from shared.batching import Augmentation, batches, steps_per_epoch, training_batches
from shared.checkpoints import Checkpoint
from shared.exporting import export_classifier
from shared.inputs import Splits, load_splits
from shared.reporting import EpochReporter, describe_provenance, write_reports

# Images in a batch that is only looked at; no result depends on it.
EVALUATION_BATCH = 200


def begin(arguments: argparse.Namespace) -> Splits:
    """Set the seeds and the number of threads, and load the images; call this before anything else of TensorFlow.

    The same seed, threads and data lead to the same weights, bit by bit: the order of the batches depends on the seed
    alone, and TensorFlow's CPU kernels divide their sums by the number of threads, not by which of them is free. So
    ``tf.config.experimental.enable_op_determinism`` is not needed.

    Args:
        arguments: Those of ``arguments.create_folder_parser``; receive ``threads``, the number of them.

    Raises:
        RuntimeError: TensorFlow runs already, with another number of threads.
        FileNotFoundError: There is no data set.
        ValueError: It is damaged, or has fewer images than a batch.
    """
    # The random weights of the first rank go to all; beyond them, each rank draws noise of its own.
    keras.utils.set_random_seed((arguments.seed + ranks.rank()) % 2**32)
    if arguments.threads:
        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    else:
        arguments.threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or _count_cores()
    splits = load_splits(arguments.data_dir)
    if "batch_size" in arguments:
        steps_per_epoch(len(splits.train.labels), batch_size=arguments.batch_size)  # refuses too few at once
    print(f"data: {splits.summary()}", flush=True)
    return splits


def compile_model(
    model: keras.Model,
    arguments: argparse.Namespace,
    *,
    image_count: int,
    optimizer: type[keras.optimizers.AdamW] = keras.optimizers.AdamW,
    clipnorm: float | None = None,
) -> None:
    """Choose the optimizer, the cross-entropy and the accuracy.

    The learning rate rises for a tenth of all steps, and then falls to zero along a cosine.

    Args:
        model: The network.
        arguments: Those of ``arguments.create_parser``.
        image_count: Number of training images.
        optimizer: AdamW, or what changes its steps.
        clipnorm: Largest norm of a weight's gradient; None for no limit.
    """
    steps = arguments.epochs * steps_per_epoch(image_count, batch_size=arguments.batch_size)
    warmup_steps = max(1, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=arguments.learning_rate, warmup_steps=warmup_steps
    )
    model.compile(
        optimizer=optimizer(schedule, weight_decay=arguments.weight_decay, clipnorm=clipnorm),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=arguments.label_smoothing),
        metrics=["accuracy"],
    )


def fit(
    model: keras.Model,
    inputs: Sequence[np.ndarray],
    splits: Splits,
    arguments: argparse.Namespace,
    *,
    provenance: dict[str, Any],
    augment: Augmentation | None = None,
) -> dict[str, list[float]]:
    """Train a compiled model, from where its checkpoint left it, and say how each epoch went.

    Args:
        model: The network, compiled.
        inputs: Arrays (N, ...) that it sees of each split, in the order of ``Splits.images``: images, or features
            computed from them; may be memory maps.
        splits: The data set, for its labels.
        arguments: Those of ``arguments.create_parser``: epochs, batch_size, seed and checkpoint_dir.
        provenance: What ``reporting.describe_provenance`` collected; receives ``resumed_at``.
        augment: Changes a batch of inputs at random, given a seed of shape (2,).

    Returns:
        What ``EpochReporter`` kept of each epoch.

    Raises:
        ValueError: There are fewer images than one batch holds, or the checkpoint is that of another training.
        ArithmeticError: A loss is no longer a finite number.
    """
    class_count = len(splits.class_names)
    reporter = EpochReporter()
    checkpoint = Checkpoint(arguments.checkpoint_dir, provenance=provenance, history=reporter.history)
    first_epoch = ranks.agree(checkpoint.restore(model))
    provenance["resumed_at"] = checkpoint.resumed_at
    train = training_batches(
        inputs[0],
        splits.train.labels,
        class_count=class_count,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        first_epoch=first_epoch,
        epochs=arguments.epochs,
        rank=ranks.rank(),
        rank_count=ranks.count(),
        augment=augment,
    )
    validation = batches(inputs[1], splits.validation.labels, class_count=class_count, batch_size=EVALUATION_BATCH)
    ranks.average_gradients(model)
    model.fit(
        train,
        validation_data=validation if ranks.rank() == 0 else None,
        initial_epoch=first_epoch,
        epochs=arguments.epochs,
        steps_per_epoch=steps_per_epoch(len(splits.train.labels), batch_size=arguments.batch_size),
        shuffle=False,  # the data set shuffles itself, and Keras would warn that it cannot
        verbose=0,
        callbacks=ranks.callbacks(reporter, checkpoint),
    )
    return reporter.history


def predict(model: keras.Model, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the probabilities (N, C) that a model gives to the inputs of each split, which may be memory maps."""
    return [model.predict(batches(array, batch_size=EVALUATION_BATCH), verbose=0) for array in inputs]


def train_classifier(
    model: keras.Model,
    inputs: Sequence[np.ndarray],
    splits: Splits,
    arguments: argparse.Namespace,
    *,
    weights: dict[str, Any] | None = None,
    frozen: keras.Model | None = None,
    optimizer: type[keras.optimizers.AdamW] = keras.optimizers.AdamW,
    clipnorm: float | None = None,
    augment: Augmentation | None = None,
) -> None:
    """Compile, fit, evaluate, report, export.

    Args:
        model: The network, from inputs to probabilities.
        inputs: What it sees of each split, as for `fit`.
        splits: The data set.
        arguments: Those of ``arguments.create_parser``.
        weights: Where the first weights come from, ``provenance`` and ``description``; None for random ones.
        frozen: What makes the inputs of images; None if the inputs are images.
        optimizer: As for `compile_model`.
        clipnorm: Largest norm of a weight's gradient; None for no limit.
        augment: Changes a batch of inputs at random, as for `fit`.
    """
    provenance = describe_provenance(arguments, splits, weights=weights)
    frozen_count = frozen.count_params() if frozen else 0
    print(f"model: {model.count_params():,} parameters train, {frozen_count:,} are frozen", flush=True)
    compile_model(model, arguments, image_count=len(splits.train.labels), optimizer=optimizer, clipnorm=clipnorm)
    history = fit(model, inputs, splits, arguments, provenance=provenance, augment=augment)
    # All ranks have the same weights now, and one of them is enough to evaluate and export.
    if ranks.rank() == 0:
        evaluation = write_reports(
            arguments.output_data_dir,
            splits=splits,
            history=history,
            probabilities=predict(model, inputs[1:]),
            provenance=provenance,
        )
        whole = keras.Model(frozen.input, model(frozen.output)) if frozen else model
        path = export_classifier(whole, arguments.model_dir, class_names=splits.class_names, provenance=provenance)
        print(f"test accuracy {evaluation['test']['accuracy']:.4f}; model in {path}", flush=True)


def _count_cores() -> int:
    """Return the number of cores that this process may use, as TensorFlow counts them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

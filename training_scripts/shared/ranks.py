"""Ranks: the processes that train one model together through MPI, the message passing interface.

Each rank computes the gradients of its own part of a batch. Their mean is the gradient of the whole batch, so all
ranks take the same optimizer step, and their weights stay equal bit by bit. ``mpirun`` starts them: that of a training
job, or your own, as in ``mpirun -np 2 python -m mpi4py training_scripts/cifar_train.py``. A script that is started
without it trains alone.
"""

import functools
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@functools.cache
def communicator() -> Any:
    """Return the communicator of all ranks, or None if there is one rank.

    Raises:
        ModuleNotFoundError: ``mpirun`` started several, and mpi4py is not installed.
    """
    # Both Open MPI 4.1, of AWS's image, and 5 set it. Without it, mpi4py need not be there.
    if int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1")) < 2:
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD


def rank() -> int:
    """Return which of the ranks this process is, from 0. The first one validates, reports, and leaves the model."""
    return communicator().rank if communicator() else 0


def count() -> int:
    """Return the number of ranks."""
    return communicator().size if communicator() else 1


def agree(number: int) -> int:
    """Return the first rank's number on every rank, such as the epoch that a checkpoint resumes with."""
    return int(communicator().bcast(number)) if communicator() else number


def average_gradients(model: keras.Model) -> None:
    """Make a compiled model's optimizer, of any kind, take each step with the mean of all ranks' gradients.

    It stays the plain optimizer that it is to whoever saves it. That of a single rank is not touched.
    """
    if communicator() is None:
        return
    apply = model.optimizer.apply

    # Keras clips gradients in `apply`, and it is the mean that must be clipped.
    def apply_mean(gradients: list[tf.Tensor], variables: list[keras.Variable] | None = None) -> None:
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        # One buffer, because each exchange costs a round trip.
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in dense], axis=0)
        mean = tf.ensure_shape(tf.numpy_function(_average, [flat], flat.dtype), flat.shape)
        parts = tf.split(mean, [gradient.shape.num_elements() for gradient in dense])
        apply([tf.reshape(part, each.shape) for part, each in zip(parts, dense, strict=True)], variables)

    model.optimizer.apply = apply_mean
    # XLA cannot compile a step that talks to other processes.
    model.jit_compile = False


def callbacks(*first: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
    """Return the callbacks for `fit`: those that keep the ranks equal, and on the first rank also the given."""
    return [*([_KeepEqual()] if communicator() else []), *(first if rank() == 0 else ())]


def _average(array: np.ndarray) -> np.ndarray:
    """Return the mean of the arrays that the ranks pass, the same bits on every rank."""
    total = np.empty_like(array)
    communicator().Allreduce(array, total)
    total /= count()
    return total


class _KeepEqual(keras.callbacks.Callback):
    """Give all ranks the same start, the same normalization statistics and the same figures.

    Validation comes after the last step of an epoch, so the statistics must be averaged by then.
    """

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take over the first rank's weights and optimizer, fresh or restored from a checkpoint."""
        # `weights` leaves out the random generators: each rank draws noise of its own.
        for variable in [*self.model.weights, *self.model.optimizer.variables]:
            variable.assign(communicator().bcast(variable.numpy()))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Average the moving means and variances of batch normalization after the last step of an epoch."""
        if batch + 1 == self.params["steps"]:
            for variable in self.model.non_trainable_weights:
                if variable.dtype.startswith("float"):
                    variable.assign(_average(variable.numpy()))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Turn loss and metrics of this rank's part into those of all images."""
        names = sorted(name for name in logs if not name.startswith("val_"))
        figures = _average(np.array([logs[name] for name in names], np.float64))
        logs.update(zip(names, figures.tolist(), strict=True))

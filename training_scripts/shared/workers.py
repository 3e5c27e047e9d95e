"""Workers: the instances of a training job, which train one model together.

Each worker computes the gradients of its own part of a batch. Their mean is the gradient of the whole batch, so all
workers take the same optimizer step, and their weights stay equal bit by bit.
"""

import functools
import json
import os
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from shared.exchange import Exchange, open_exchange


@dataclass(frozen=True)
class Workers:
    """This process among those that train one model.

    Attributes:
        rank: Which of the workers this is, from 0.
        count: How many there are.
        exchange: Connections to the others; None for a single worker.
    """

    rank: int = 0
    count: int = 1
    exchange: Exchange | None = None

    @property
    def is_first(self) -> bool:
        """Whether this worker speaks for all: it validates, reports, and leaves the model."""
        return self.rank == 0

    def average_gradients(self, model: keras.Model) -> None:
        """Make a compiled model's optimizer, of any kind, take each step with the mean of all workers' gradients.

        It stays the plain optimizer that it is to whoever saves it. A single worker's is not touched.
        """
        exchange = self.exchange
        if exchange is not None:
            apply = model.optimizer.apply

            # Keras clips gradients in `apply`, and it is the mean that must be clipped.
            def apply_mean(gradients: list[tf.Tensor], variables: list[keras.Variable] | None = None) -> None:
                apply(_mean(gradients, exchange), variables)

            model.optimizer.apply = apply_mean
            # XLA cannot compile a step that talks to other workers.
            model.jit_compile = False

    def callbacks(self, *first: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
        """Return the callbacks for `fit`: those that keep the workers equal, and on the first worker also the given."""
        equal = [] if self.exchange is None else [KeepEqual(self.exchange)]
        return [*equal, *(first if self.is_first else ())]

    def agree(self, number: int) -> int:
        """Return the first worker's number on every worker, such as the epoch that a checkpoint resumes with."""
        return number if self.exchange is None else int(self.exchange.broadcast(np.array(number, np.int64)))

    def part(self) -> None:
        """End the common work: the other workers wait here until the first one has left the model."""
        if self.exchange is not None:
            self.exchange.close()


def _mean(gradients: list[tf.Tensor], exchange: Exchange) -> list[tf.Tensor]:
    """Average all gradients in one exchange, because each exchange costs a round trip."""
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in dense], axis=0)
    mean = tf.ensure_shape(tf.numpy_function(exchange.average, [flat], flat.dtype), flat.shape)
    parts = tf.split(mean, [gradient.shape.num_elements() for gradient in dense])
    return [tf.reshape(part, gradient.shape) for part, gradient in zip(parts, dense, strict=True)]


@functools.cache
def connect() -> Workers:
    """Connect the instances of a training job, which SageMaker lists in ``SM_HOSTS``; elsewhere there is one worker.

    Raises:
        ConnectionError: Another instance did not come in time.
    """
    hosts = json.loads(os.environ.get("SM_HOSTS", "[]"))
    if len(hosts) < 2:
        return Workers()
    current_host = os.environ["SM_CURRENT_HOST"]
    return Workers(hosts.index(current_host), len(hosts), open_exchange(hosts, current_host))


class KeepEqual(keras.callbacks.Callback):
    """Give all workers the same start, the same normalization statistics and the same figures.

    Validation comes after the last step of an epoch, so the statistics must be averaged by then.
    """

    def __init__(self, exchange: Exchange) -> None:
        """Take the connections to the other workers."""
        super().__init__()
        self._exchange = exchange

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take over the first worker's weights and optimizer, fresh or restored from a checkpoint.

        Raises:
            ValueError: The number of steps of an epoch is not known.
        """
        if not self.params["steps"]:
            raise ValueError("Workers must agree on the steps of an epoch. Pass steps_per_epoch to fit.")
        # `weights` leaves out the random generators: each worker draws noise of its own.
        for variable in [*self.model.weights, *self.model.optimizer.variables]:
            variable.assign(self._exchange.broadcast(variable.numpy()))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Average the moving means and variances of batch normalization after the last step of an epoch."""
        if batch + 1 == self.params["steps"]:
            for variable in self.model.non_trainable_weights:
                if variable.dtype.startswith("float"):
                    variable.assign(self._exchange.average(variable.numpy()))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Turn loss and metrics of this worker's part into those of all images."""
        names = sorted(name for name in logs if not name.startswith("val_"))
        figures = self._exchange.average(np.array([logs[name] for name in names], np.float64))
        logs.update(zip(names, figures.tolist(), strict=True))

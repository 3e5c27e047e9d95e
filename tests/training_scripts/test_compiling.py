import keras
import numpy as np
import pytest

from compiling import compile_model
from workers import Workers


@pytest.mark.parametrize("clipnorm", [None, 1.0])
def test_the_learning_rate_warms_up_and_falls_to_zero(clipnorm):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    compile_model(model, learning_rate=0.1, steps=100, weight_decay=0.01, label_smoothing=0.1, clipnorm=clipnorm)
    schedule = model.optimizer._learning_rate
    assert [float(schedule(step)) for step in (0, 10, 100)] == pytest.approx([0, 0.1, 0], abs=1e-6)
    assert model.optimizer.clipnorm == clipnorm


def test_a_step_takes_the_mean_of_all_workers_in_one_exchange():
    sizes = []

    class Opposite:
        """Another worker, whose gradients cancel those of this one."""

        def average(self, array):
            sizes.append(array.size)
            return np.zeros_like(array)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    compile_model(
        model,
        learning_rate=0.1,
        steps=10,
        weight_decay=0.0,
        label_smoothing=0.0,
        clipnorm=1.0,
        workers=Workers(rank=0, count=2, exchange=Opposite()),
    )
    before = model.get_weights()
    model.fit(np.ones((8, 2), np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 4], batch_size=4, verbose=0)
    assert sizes == [model.count_params()] * 2
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    assert int(model.optimizer.iterations) == 2
    assert not model.jit_compile

import keras
import pytest

from compiling import compile_model


@pytest.mark.parametrize("clipnorm", [None, 1.0])
def test_the_learning_rate_warms_up_and_falls_to_zero(clipnorm):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    compile_model(model, learning_rate=0.1, steps=100, weight_decay=0.01, label_smoothing=0.1, clipnorm=clipnorm)
    schedule = model.optimizer._learning_rate
    assert [float(schedule(step)) for step in (0, 10, 100)] == pytest.approx([0, 0.1, 0], abs=1e-6)
    assert model.optimizer.clipnorm == clipnorm

import numpy as np
import pytest


@pytest.fixture(scope="module")
def rehearsals():
    from local_sagemaker.engines import rehearsals

    return rehearsals


@pytest.fixture(scope="module")
def signature():
    """A function that makes a signature from a function of x."""
    import tensorflow as tf

    class Signature:
        def __init__(self, function, shape):
            self.specifications = {"x": tf.TensorSpec(shape, tf.float32, "x")}
            self.call = lambda inputs: function(inputs["x"])

    return lambda function, shape=(None, 3): Signature(function, shape)


def test_equal_answers_pass_and_the_time_is_told(rehearsals, signature):
    assert rehearsals.rehearse(signature(lambda x: {"y": x}), signature(lambda x: {"y": x + 1e-7})) >= 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: {"y": x + 0.01},
        lambda x: {"z": x},
        lambda x: {"y": x, "z": x},
        lambda x: {"y": x.astype(np.float64)},
        lambda x: {"y": x[:1]},
        lambda x: {"y": x * np.nan},
    ],
)
def test_other_answers_do_not(rehearsals, signature, function):
    with pytest.raises(rehearsals.RehearsalError):
        rehearsals.rehearse(signature(lambda x: {"y": x}), signature(function))


def test_failures_must_be_of_one_kind(rehearsals, signature):
    import tensorflow as tf

    def fail(kind):
        def call(x):
            raise kind(None, None, "no")

        return signature(call)

    rehearsals.rehearse(fail(tf.errors.InvalidArgumentError), fail(tf.errors.InvalidArgumentError))
    for other in (fail(tf.errors.NotFoundError), signature(lambda x: {"y": x})):
        with pytest.raises(rehearsals.RehearsalError, match="fails"):
            rehearsals.rehearse(fail(tf.errors.InvalidArgumentError), other)


def test_inputs_of_another_form_are_noticed(rehearsals, signature):
    with pytest.raises(rehearsals.RehearsalError, match="inputs"):
        rehearsals.rehearse(signature(lambda x: {"y": x}), signature(lambda x: {"y": x}, (None, 4)))


def test_inputs_are_made_up_for_every_dtype_and_shape(rehearsals):
    import tensorflow as tf

    dtypes = (tf.float16, tf.bfloat16, tf.float64, tf.complex64, tf.int8, tf.uint64, tf.bool, tf.string)
    for dtype in dtypes:
        for shape in ((), (None,), (3, None), None):
            specification = tf.TensorSpec(shape, dtype)
            value = rehearsals.make_up_inputs({"x": specification})["x"]
            assert isinstance(value, np.ndarray)
            assert specification.shape.is_compatible_with(value.shape)
            assert value.dtype == (object if dtype == tf.string else dtype.as_numpy_dtype)

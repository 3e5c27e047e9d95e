import threading

import numpy as np
import pytest


class Fake:
    """Stands for an architecture."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def architectures():
    from local_sagemaker.engines.architectures import Architectures

    return Architectures()


def test_an_architecture_is_built_once_and_closed_with_its_last_model(architectures):
    first = architectures.take("k", Fake)
    assert architectures.take("k", pytest.fail) is first
    assert architectures.take("other", Fake) is not first
    architectures.release("k")
    assert not first.closed
    architectures.release("k")
    assert first.closed
    assert architectures.take("k", Fake) is not first


def test_models_that_are_loaded_at_the_same_time_share_what_one_of_them_builds(architectures):
    started, may_end, found = threading.Event(), threading.Event(), []

    def build():
        started.set()
        assert may_end.wait(60)
        return Fake()

    threads = [threading.Thread(target=lambda: found.append(architectures.take("k", build))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    architectures.take("another", Fake)  # which does not wait for the first
    may_end.set()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert len(set(map(id, found))) == 1


@pytest.fixture(scope="module")
def architecture():
    """One with three weights: a known shape, a shape of which one size may be any, strings of any shape."""
    import tensorflow as tf

    from local_sagemaker.engines.architectures import Architecture
    from local_sagemaker.engines.pure_graphs import PureGraph

    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.bfloat16, [2, 3], name="weight_0")
        tf.compat.v1.placeholder(tf.float32, [None, 3], name="weight_1")
        names = tf.compat.v1.placeholder(tf.string, None, name="weight_2")
        tf.identity(names, name="output_0")
    output = tf.TensorSpec(None, tf.string)
    architecture = Architecture(PureGraph("key", graph.as_graph_def(), {}, {"names": output}, []), all_cores=False)
    yield architecture
    architecture.close()


def weights(first=(2, 3), first_type="bfloat16", second=(5, 3), second_type="float32", third=object, count=3):
    import ml_dtypes  # NumPy knows the name bfloat16 from here

    first_type = getattr(ml_dtypes, first_type, first_type)
    return [np.zeros(first, first_type), np.zeros(second, second_type), np.zeros((4, 1), third)][:count]


def test_weights_of_the_right_form_are_accepted(architecture):
    assert architecture.accepts(weights())
    assert architecture.accepts(weights(second=(0, 3)))


@pytest.mark.parametrize(
    "change",
    [
        {"first": (3, 2)},
        {"first": (2, 3, 1)},
        {"first_type": "float16"},
        {"second": (5, 4)},
        {"second": (3,)},
        {"second_type": "float64"},
        {"third": "S1"},
        {"count": 2},
    ],
)
def test_weights_of_another_form_are_not(architecture, change):
    assert not architecture.accepts(weights(**change))

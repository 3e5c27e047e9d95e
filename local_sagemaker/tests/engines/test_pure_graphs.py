import pytest


@pytest.fixture(scope="module")
def pure_graph(tmp_path_factory):
    """A function that exports a function of inputs and weights and returns its pure graph."""
    import tensorflow as tf

    from local_sagemaker.engines.saved_models import SavedModel

    def make(call, *specifications, weights=()):
        module = tf.Module()
        module.weights = [tf.Variable(value, name=name) for name, value in weights]
        signature = tf.function(lambda *inputs: call(*inputs, *module.weights), input_signature=specifications)
        folder = tmp_path_factory.mktemp("pure") / "1"
        tf.saved_model.save(module, str(folder), signatures={"s": signature.get_concrete_function()})
        return SavedModel(folder).graph.pure_graphs["s"]

    return make


@pytest.fixture(scope="module")
def tf():
    import tensorflow

    return tensorflow


def form(tf, name="x", shape=(None, 2), dtype="float32"):
    return tf.TensorSpec(shape, dtype, name)


def scale(pure_graph, tf, *, factor=2.0, name="w", value=1.0, shape=(None, 2), output="y", scope="a", **changes):
    """The pure graph of y = x · factor · w."""

    def call(x, weight):
        with tf.name_scope(scope):
            return {output: x * factor * weight}

    return pure_graph(call, form(tf, shape=shape, **changes), weights=[(name, [value, value])])


def test_values_and_names_of_weights_and_layers_do_not_tell_architectures_apart(pure_graph, tf):
    first = scale(pure_graph, tf)
    second = scale(pure_graph, tf, name="dense_7/kernel", value=3.0, scope="dense_7")
    assert first.key == second.key
    assert first.graph == second.graph
    assert (first.weights[0].node, second.weights[0].node) == ("w", "dense_7/kernel")


@pytest.mark.parametrize("change", [{"factor": 2.5}, {"shape": (None, None)}, {"output": "z"}])
def test_small_constants_shapes_and_names_of_outputs_do(pure_graph, tf, change):
    assert scale(pure_graph, tf).key != scale(pure_graph, tf, **change).key


def test_wiring_and_attributes_tell_architectures_apart(pure_graph, tf):
    weights = [("a", [1.0, 1.0]), ("b", [1.0, 1.0])]
    calls = [
        lambda x, a, b: {"y": x * a - b},
        lambda x, a, b: {"y": b - x * a},
        lambda x, a, b: {"y": x * a - a + 0 * b},
        lambda x, a, b: {"y": tf.reduce_sum(x * a - b, 0)},
        lambda x, a, b: {"y": tf.reduce_sum(x * a - b, 0, keepdims=True)},
    ]
    assert len({pure_graph(call, form(tf), weights=weights).key for call in calls}) == len(calls)


def test_the_body_of_a_loop_tells_architectures_apart(pure_graph, tf):
    def loop(step):
        return lambda x, w: {"y": tf.while_loop(lambda v: tf.reduce_sum(v) < 9, lambda v: [step(v, w)], [x])[0]}

    steps = [lambda v, w: v + w, lambda v, w: v * w, lambda v, w: w + v]
    keys = [pure_graph(loop(step), form(tf), weights=[("w", [1.0, 1.0])]).key for step in steps]
    assert len(set(keys)) == 3


def test_equal_weights_keep_their_places(pure_graph, tf):
    weights = [("a", [1.0, 1.0]), ("b", [1.0, 1.0])]
    straight = pure_graph(lambda x, a, b: {"y": x * a - b}, form(tf), weights=weights)
    crossed = pure_graph(lambda x, a, b: {"y": x * b - a}, form(tf), weights=weights)
    assert straight.key == crossed.key
    assert [weight.node for weight in straight.weights] == [weight.node for weight in crossed.weights][::-1]


def test_class_names_and_large_constants_are_fed_and_their_number_is_part_of_the_key(pure_graph, tf):
    def classify(class_names, size):
        names, values = tf.constant(class_names), tf.ones([size])

        def call(x):
            return {"label": tf.gather(names, tf.argmax(x, -1)), "sum": tf.reduce_sum(values) + x}

        return pure_graph(call, form(tf))

    first = classify(["cat", "dog"], 500)
    assert [weight.is_constant for weight in first.weights] == [True, True]
    assert b"cat" not in first.graph.SerializeToString()
    assert first.key == classify(["a", "b"], 500).key != classify(["a", "b", "c"], 500).key
    assert first.key != classify(["a", "b"], 600).key


def test_a_graph_holds_nothing_that_its_outputs_do_not_need(pure_graph, tf):
    graph = pure_graph(lambda x, a, b: {"y": x + b}, form(tf), weights=[("a", [1.0, 1.0]), ("b", [1.0, 1.0])])
    assert [weight.node for weight in graph.weights] == ["b"]
    names = {node.name for node in graph.graph.node} | {f.signature.name for f in graph.graph.library.function}
    assert all(name.startswith(("input_0", "weight_0", "output_0", "n", "f")) for name in names)
    assert graph.graph.ByteSize() < 2000


def test_an_effect_that_no_output_needs_is_kept(pure_graph, tf):
    def call(x):
        tf.debugging.assert_positive(x, "must be positive")
        return {"y": x}

    graph = pure_graph(call, form(tf)).graph
    assert "Assert" in {node.op for function in graph.library.function for node in function.node_def}

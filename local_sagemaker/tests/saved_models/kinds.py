"""Small models of many kinds, each as a module, its signatures, and inputs to try."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Inputs = dict[str, dict[str, Any]]  # per signature
KINDS: dict[str, Callable[[], tuple[Any, dict[str, Any], Inputs]]] = {}
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def save(kind: str, folder: Path) -> Inputs:
    """Write a model of a kind and return inputs for each of its signatures."""
    keras.utils.set_random_seed(4)
    module, signatures, inputs = KINDS[kind]()
    if hasattr(module, "write_out"):  # of Keras
        module.write_out(folder, verbose=False)
    else:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    return inputs


def _kind(function: Callable[[], Any]) -> Callable[[], Any]:
    KINDS[function.__name__] = function
    return function


def _module(call: Callable[..., Any], inputs: dict[str, Any], *specifications: tf.TensorSpec, **parts: Any) -> Any:
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    module.call = tf.function(call, input_signature=specifications)
    return module, {"serving_default": module.call}, {"serving_default": inputs}


def _keras(layers: list[Any], example: np.ndarray) -> Any:
    model = keras.Sequential([keras.Input(example.shape[1:], dtype=str(example.dtype)), *layers])
    for layer in model.layers:  # as if it were trained
        layer.set_weights([np.random.default_rng(2).random(weight.shape) * 0.3 for weight in layer.get_weights()])
    form = tf.TensorSpec((None, *example.shape[1:]), example.dtype, "x")
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", lambda x: {"y": model(x, training=False)}, input_signature=[form])
    return archive, {}, {"serving_default": {"x": example}}


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape, dtype=np.float32)


@_kind
def convolution_with_batch_normalization() -> Any:
    layers = keras.layers
    blocks = [layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    blocks += [layers.DepthwiseConv2D(3, activation="relu"), layers.Flatten(), layers.Dropout(0.5)]
    return _keras([*blocks, layers.Dense(4, activation="softmax")], _numbers(2, 12, 12, 3))


@_kind
def lstm() -> Any:
    return _keras([keras.layers.LSTM(5, return_sequences=True), keras.layers.LSTM(3)], _numbers(2, 7, 4))


@_kind
def unrolled_and_bidirectional_gru() -> Any:
    gru = [keras.layers.GRU(4, unroll=True, return_sequences=True), keras.layers.Bidirectional(keras.layers.GRU(3))]
    return _keras(gru, _numbers(2, 5, 4))


@_kind
def embedding_and_lstm() -> Any:
    tokens = np.array([[1, 2, 3, 0], [4, 4, 1, 0]], np.int32)
    layers = [keras.layers.Embedding(9, 6, mask_zero=True), keras.layers.LSTM(4), keras.layers.Dense(2)]
    return _keras(layers, tokens)


@_kind
def image_bytes() -> Any:
    weights = tf.Variable(_numbers(3, 2))

    def decode(text: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(text, channels=3, expand_animations=False)
        return tf.image.resize(tf.cast(image, tf.float32), (4, 4), antialias=True)

    def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(decode, images, fn_output_signature=tf.TensorSpec((4, 4, 3), tf.float32))
        scores = tf.reduce_mean(pixels, (1, 2)) @ weights
        return {"scores": scores, "label": tf.gather(tf.constant(["dog", "cat"]), tf.argmax(scores, -1))}

    encoded = np.array([tf.io.encode_png(image).numpy() for image in IMAGES], object)
    return _module(call, {"images": encoded}, tf.TensorSpec((None,), tf.string, "images"), weights=weights)


@_kind
def parsed_example() -> Any:
    weights = tf.Variable([[1.0], [2.0]])
    form = {"x": tf.io.FixedLenFeature([2], tf.float32)}
    message = tf.train.Example()
    message.features.feature["x"].float_list.value.extend([3.0, 4.0])
    example = np.array([message.SerializeToString()], dtype=object)
    return _module(
        lambda examples: {"y": tf.io.parse_example(examples, form)["x"] @ weights},
        {"examples": example},
        tf.TensorSpec([None], tf.string, "examples"),
        weights=weights,
    )


@_kind
def several_inputs_and_outputs() -> Any:
    weights = tf.Variable([2, 3], dtype=tf.int64)

    def call(b: tf.Tensor, a: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "z": a * weights,
            "a": tf.strings.join([text, "!"]),
            "text": text,
            "m": a > b,
            "total": tf.reduce_sum(a),
        }

    inputs = {"a": np.array([1, 2], np.int64), "b": np.array([2, 1], np.int64), "text": np.array(b"x", object)}
    forms = (
        tf.TensorSpec((2,), tf.int64, "b"),
        tf.TensorSpec((2,), tf.int64, "a"),
        tf.TensorSpec((), tf.string, "text"),
    )
    return _module(call, inputs, *forms, weights=weights)


@_kind
def loop_and_branch_that_read_variables() -> Any:
    factor, other = tf.Variable(1.5), tf.Variable([[1.0, 2.0]])

    def call(x: tf.Tensor, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        def step(count: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value = tf.cond(value[0, 0] > 5, lambda: value * factor, lambda: value + other)
            return count + 1, tf.switch_case(count % 3, [lambda: value, lambda: value - factor, lambda: value * other])

        _, value = tf.while_loop(lambda count, value: count < steps, step, [tf.constant(0), x])
        return {"y": value + factor}

    forms = (tf.TensorSpec((None, 2), tf.float32, "x"), tf.TensorSpec((), tf.int32, "steps"))
    return _module(call, {"x": _numbers(2, 2), "steps": np.int32(7)}, *forms, factor=factor, other=other)


@_kind
def narrow_weights() -> Any:
    parts = {
        "half": tf.Variable(tf.cast(_numbers(2), tf.float16)),
        "brain": tf.Variable(tf.cast(_numbers(2), tf.bfloat16)),
        "quantized": tf.Variable(np.array([-128, 127], np.int8)),
        "flags": tf.Variable([True, False]),
        "double": tf.Variable(np.array([1e300, 0.1])),
    }

    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        half, brain = x * tf.cast(parts["half"], tf.float32), tf.cast(tf.cast(x, tf.bfloat16) * parts["brain"], x.dtype)
        scaled = x * tf.cast(parts["quantized"], tf.float32) + tf.cast(parts["flags"], tf.float32)
        return {"half": half, "brain": brain, "scaled": scaled, "double": tf.cast(x, tf.float64) * parts["double"]}

    return _module(call, {"x": _numbers(2)}, tf.TensorSpec((2,), tf.float32, "x"), **parts)


@_kind
def half_precision_network() -> Any:
    return _keras([keras.layers.Dense(4, dtype="mixed_bfloat16"), keras.layers.Dense(2)], _numbers(2, 3))


@_kind
def stateless_random() -> Any:
    weights = tf.Variable(2.0)

    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * weights + tf.random.stateless_normal((2,), (1, 2))}

    return _module(call, {"x": _numbers(2)}, tf.TensorSpec((2,), tf.float32, "x"), weights=weights)


@_kind
def gathers_and_shapes() -> Any:
    table = tf.Variable(_numbers(5, 4, 3))

    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = table.gather_nd(tf.stack([x, x % 4], -1))
        return {"rows": table.sparse_read(x), "pairs": pairs, "shape": tf.shape(table)}

    return _module(call, {"x": np.array([4, 0, 2], np.int32)}, tf.TensorSpec((None,), tf.int32, "x"), table=table)


@_kind
def large_constant() -> Any:
    values = tf.constant(_numbers(700, 2))  # of the graph, captured by a function
    return _module(lambda x: {"y": x @ values}, {"x": _numbers(2, 700)}, tf.TensorSpec((None, 700), tf.float32, "x"))


@_kind
def equal_weights() -> Any:
    first, second = tf.Variable(tf.ones((2, 2))), tf.Variable(tf.ones((2, 2)))
    form = tf.TensorSpec((None, 2), tf.float32, "x")
    return _module(lambda x: {"y": x @ first - 3 * second}, {"x": _numbers(2, 2)}, form, first=first, second=second)


# What only tf.saved_model.load serves.


@_kind
def lookup_table() -> Any:
    words = tf.lookup.KeyValueTensorInitializer(["cat", "dog"], tf.constant([4, 7], tf.int64))
    table = tf.lookup.StaticHashTable(words, -1)
    inputs = {"x": np.array([b"dog", b"cow"], object)}
    return _module(lambda x: {"y": table.lookup(x)}, inputs, tf.TensorSpec((None,), tf.string, "x"), table=table)


@_kind
def written_variable() -> Any:
    count = tf.Variable(0.0)
    return _module(
        lambda x: {"y": x + count.assign_add(1)}, {"x": _numbers(2)}, tf.TensorSpec((2,), tf.float32, "x"), count=count
    )


@_kind
def random_with_a_seed() -> Any:
    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + tf.random.normal((2,), seed=6)}

    return _module(call, {"x": _numbers(2)}, tf.TensorSpec((2,), tf.float32, "x"))


@_kind
def compiled_by_xla() -> Any:
    @tf.function(jit_compile=True)
    def inner(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x * 1.1)

    return _module(lambda x: {"y": inner(x)}, {"x": _numbers(2)}, tf.TensorSpec((2,), tf.float32, "x"))


@_kind
def text_variable() -> Any:
    text = tf.Variable(["a", "b"])
    form = tf.TensorSpec((None,), tf.int32, "x")
    return _module(lambda x: {"y": tf.gather(text, x)}, {"x": np.array([1], np.int32)}, form, text=text)

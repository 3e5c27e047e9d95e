import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_sagemaker.container import number_lists, predict_requests
from local_sagemaker.container.tensors import RequestError


def read_inputs(body: bytes, dtype: tf.DType) -> object:
    """What a request is read as: arrays, or the text of the refusal."""
    document = predict_requests.read_quickly(body)
    if document is not None:
        with contextlib.suppress(RequestError):
            return read(document, dtype, exact=False)
    return read_value_by_value(body, dtype)


def read(document: dict, dtype: tf.DType, *, exact: bool) -> object:
    name = predict_requests.read_signature_name(document)
    arrays, rows = predict_requests.read_inputs(document, {"x": tf.TensorSpec(None, dtype)}, exact=exact)
    # An integer 0 has no sign in TensorFlow Serving's reader, and its arrays of integers have none at all.
    return name, rows, str(arrays["x"].dtype), arrays["x"].shape, arrays["x"].tolist()


def read_value_by_value(body: bytes, dtype: tf.DType) -> object:
    try:
        return read(predict_requests.read_exactly(body), dtype, exact=True)
    except RequestError as error:
        return error.status, str(error)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b'{"instances": [1]}', (1,)),
        (b'\n{ "inputs" :[ [1.5, -2] ,\t[3e0,4E+0] ] }\r\n', (2, 2)),
        (b'{"instances": [[[1, 2, 3]], [[4, 5, 6]]], "signature_name": "one"}', (2, 1, 3)),
        (b'{"signature_name":"one","instances":[[[0.1],[2]]]}', (1, 2, 1)),
        (b'{"instances": ' + b"[" * 64 + b"1" + b"]" * 64 + b"}", (1,) * 64),
    ],
)
def test_lists_of_one_shape_are_read_at_once(body, shape):
    document = number_lists.read(body)
    expected = json.loads(body)
    ((key, numbers),) = [(key, value) for key, value in document.items() if key != "signature_name"]
    assert numbers.array.dtype == np.float64
    assert numbers.array.shape == shape
    assert numbers.array.tolist() == expected[key]
    assert document.get("signature_name") == expected.get("signature_name")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"instances": []}',
        b'{"instances": [[], []]}',
        b'{"instances": [[1], []]}',
        b'{"instances": [[1, 2], [3]]}',
        b'{"instances": [[[1, 2], [3, 4]], [[5], [6, 7, 8]]]}',  # as many of each character as in a regular list
        b'{"instances": [[1], 2]}',
        b'{"instances": [1, [2]]}',
        b'{"instances": [1, true]}',
        b'{"instances": [1, null]}',
        b'{"instances": ["1"]}',
        b'{"instances": [{"x": 1}]}',
        b'{"instances": [NaN]}',
        b'{"instances": [1, 1e400]}',
        b'{"instances": [18446744073709551616]}',
        b'{"instances": [01]}',
        b'{"instances": [1,]}',
        b'{"instances": [1 2]}',
        b'{"instances": [1]]}',
        b'{"instances": [1}',
        b'{"instances": [1]} 1',
        b'{"instances": [1], "instances": [2]}',
        b'{"instances": [1], "instances": null}',
        b'{"instances": [1], "inputs": [1]}',
        b'{"instances": [1], "signature_name": 5}',
        b'{"instances": [1], "signature_name": "a]"}',
        b'{"signature_name": "a", "instances": [1], "signature_name": "b"}',
        b'{"instances": null, "signature_name": "\\"instances\\":[1]"}',
        b'{"a": {"instances": [1]}}',
        b'\xef\xbb\xbf{"instances": [1]}',
        b'{"instances": 1[2]}',
        b'{"instances": ' + b"[" * 65 + b"1" + b"]" * 65 + b"}",
    ],
)
def test_whatever_else_a_request_holds_is_left_to_the_exact_way(body):
    assert number_lists.read(body) is None


def test_texts_larger_than_a_parser_is_kept_for_are_read_alike():
    pixels = np.arange(400_000).reshape(2, 200_000)
    body = json.dumps({"instances": pixels.tolist()}).encode()
    assert np.array_equal(number_lists.read(body)["instances"].array, pixels)
    assert number_lists.read(b'{"instances": [1]}')["instances"].array.tolist() == [1]


dtypes = st.sampled_from([tf.int8, tf.uint8, tf.int32, tf.int64, tf.uint64, tf.float32, tf.float64, tf.bool])
limits = [
    limit + step
    for bits in (7, 8, 16, 24, 31, 32, 53, 63, 64)
    for limit in (-(2**bits), 2**bits)
    for step in (-1, 0, 1)
]
numbers = st.sampled_from(limits) | st.integers(-300, 300) | st.floats() | st.floats(width=32) | st.just(-0.0)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4)
number_arrays = st.tuples(shapes, st.sampled_from([numbers, st.integers(0, 255), st.booleans() | numbers])).flatmap(
    lambda chosen: st.lists(chosen[1], min_size=int(np.prod(chosen[0])), max_size=int(np.prod(chosen[0]))).map(
        lambda flat: np.array([*flat, None], dtype=object)[:-1].reshape(chosen[0]).tolist()
    )
)
ragged = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=8)


@settings(max_examples=600)
@given(number_arrays | ragged, dtypes, st.sampled_from(["instances", "inputs"]))
@example([2**24 - 1, 0.1], tf.float32, "instances")
@example([2**24], tf.float32, "instances")
@example([2**53, 1], tf.int64, "instances")
@example([[1, 1.0]], tf.int32, "inputs")
@example([3.4028235e38], tf.float32, "inputs")
@example([2**63, float("inf")], tf.float32, "instances")
def test_any_numbers_are_read_as_they_are_value_by_value(value, dtype, key):
    body = json.dumps({key: value}).encode()
    assert repr(read_inputs(body, dtype)) == repr(read_value_by_value(body, dtype))


@settings(max_examples=600)
@given(number_arrays, st.data())
def test_a_damaged_text_is_read_as_it_is_value_by_value(value, data):
    body = bytearray(json.dumps({"instances": value}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.text('[]{},:"0-1.e tn\\', max_size=2)
        ).encode()
        if not body:
            break
    assert repr(read_inputs(bytes(body), tf.float32)) == repr(read_value_by_value(bytes(body), tf.float32))

import base64
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from local_sagemaker.container import predict_requests, predict_responses, tensors
from local_sagemaker.container.tensors import RequestError

PIXELS = tf.float32
WORDS = tf.string
INTEGERS = [tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64]
FLOATS = [tf.float32, tf.float64]


@pytest.mark.parametrize("written", ["YWJjZA==", "YWJjZA", "YWJj\nZA==", " YWJjZA= =", "YWJjZA.."])
def test_base64_may_lack_its_padding_and_have_white_space(written):
    assert tensors.to_array({"b64": written}, tf.string) == b"abcd"


@pytest.mark.parametrize(
    ("value", "specification", "reason"),
    [
        ([[[1, 2], 3]], PIXELS, "JSON Value: 3 found at incorrect level: 3 in the JSON DOM. Expected at level: 3"),
        ([3_000_000_000], tf.int32, "Type: Number is not of expected type: int32"),
        ([-1, 2**64 - 1], tf.uint64, "JSON Value: -1 Type: Number is not of expected"),
        ([{"b64": "ç"}], WORDS, "Unable to base64 decode"),
        ([{"b64": 5}], WORDS, "not formatted correctly for base64 data"),
        (json.loads("[" * 600 + '"a"' + "]" * 600), WORDS, "nested deeper than 16 levels"),
        (json.loads("[" * 600 + "1" + "]" * 600), PIXELS, "nested deeper than 16 levels"),
    ],
)
def test_values_that_do_not_fit_the_input_are_refused_with_the_reason(value, specification, reason):
    with pytest.raises(RequestError, match=reason):
        tensors.to_array(value, specification)


numbers = st.integers(-(2**70), 2**70) | st.integers(-300, 300) | st.floats()
leaves = st.none() | st.booleans() | numbers | st.text(max_size=5)
binary = st.fixed_dictionaries({"b64": st.text(max_size=8) | numbers})
json_values = st.recursive(
    leaves | binary,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
regular = st.sampled_from([(), (0,), (3,), (2, 2), (1, 2, 3), (2, 0)]).flatmap(
    lambda shape: st.sampled_from([numbers, st.integers(0, 255), st.booleans(), leaves]).flatmap(
        lambda leaf: st.lists(leaf, min_size=math.prod(shape), max_size=math.prod(shape)).map(
            lambda flat: np.array([*flat, None], dtype=object)[:-1].reshape(shape).tolist()
        )
    )
)
dtypes = st.sampled_from([*INTEGERS, *FLOATS, tf.bool, tf.string])


def decoded(value: object) -> object:
    """What NumPy is to make of a JSON value for an input of strings."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    text = re.sub(r"[\t-\r ]", "", value["b64"]).rstrip("=.") if isinstance(value, dict) else None
    return value.encode() if text is None else base64.b64decode(text + "=" * (-len(text) % 4))


def test_a_column_has_values_of_one_shape():
    column = tensors.Column(tf.float32)
    column.add([[1], [2]])
    with pytest.raises(RequestError, match="Expecting tensor size: 2 but got: 1"):
        column.add([[3]])
    with pytest.raises(RequestError, match=r"Expecting shape \[2,1\] but got: \[1,2\]"):
        column.add([[3, 4]])
    column.add([[3], [4]])
    assert column.to_array(2).tolist() == [[[1], [2]], [[3], [4]]]


@example(math.nan, tf.float32)
@example([2**64, 0.5], tf.float64)
@settings(max_examples=400)
@given(json_values | regular, dtypes)
def test_any_json_value_is_refused_or_the_tensor_that_numpy_makes_of_it(value, dtype):
    try:
        tensor = tensors.to_array(value, dtype)
    except RequestError:
        return
    if dtype == tf.string:
        expected = np.array(decoded(value), dtype=object)
        assert np.shape(tensor) == expected.shape
        assert np.array(tensor, dtype=object).tolist() == expected.tolist()
    else:
        assert '"' not in json.dumps(value)
        assert tensor.dtype == dtype
        expected = np.array(value, dtype=np.float64 if dtype.is_floating else dtype.as_numpy_dtype)
        if dtype.is_floating:  # by way of types whose large integers and NaN NumPy knows, as it does not bfloat16's
            with np.errstate(over="ignore"):
                expected = expected.astype(dtype.as_numpy_dtype).astype(np.float64)
            tensor = tensor.astype(np.float64)
        np.testing.assert_array_equal(tensor, expected)
        assert ("true" in json.dumps(value)) <= (dtype == tf.bool)


@settings(max_examples=300)
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps({"instances": value}).encode()), dtypes)
def test_any_body_is_refused_or_read(body, dtype):
    specifications = {"x": tf.TensorSpec(None, dtype)}
    try:
        document = predict_requests.read_exactly(body)
        predict_requests.read_signature_name(document)
        inputs, _ = predict_requests.read_inputs(document, specifications, exact=True)
    except RequestError as error:
        assert str(error)
    else:
        assert inputs.keys() == {"x"}


@example(np.array(np.finfo(np.float32).max))
@settings(max_examples=300)
@given(
    arrays.arrays(
        st.sampled_from([dtype.as_numpy_dtype for dtype in [*INTEGERS, *FLOATS, tf.bool]]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    )
)
def test_a_tensor_that_is_written_and_read_again_is_the_same(array):
    body = predict_responses.write_response({"y": array}, rows=False)
    value = json.loads(body)["outputs"]
    read = tensors.to_array(value, tf.as_dtype(array.dtype))
    if 0 not in array.shape[:-1]:  # an empty list does not tell what it would hold
        assert np.shape(read) == array.shape
    np.testing.assert_array_equal(np.asarray(read).ravel(), array.ravel())

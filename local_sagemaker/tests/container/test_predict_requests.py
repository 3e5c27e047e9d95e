import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf

from local_sagemaker.container import predict_requests
from local_sagemaker.container.tensors import RequestError

ONE = {"x": tf.TensorSpec(None, tf.float32)}
TWO = {"a": tf.TensorSpec((None,), tf.float32), "b": tf.TensorSpec((None,), tf.int32)}
TEXT = {"x": tf.TensorSpec(None, tf.string)}


def read(text: str, specifications: dict = ONE) -> tuple:
    document = predict_requests.read_exactly(text.encode())
    arrays, rows = predict_requests.read_inputs(document, specifications, exact=True)
    quick = predict_requests.read_quickly(text.encode())
    if quick is not None:  # and sure, it reads the same
        with contextlib.suppress(RequestError):
            same, same_rows = predict_requests.read_inputs(quick, specifications, exact=False)
            assert rows == same_rows
            assert all(
                np.array_equal(same[name], arrays[name], equal_nan=arrays[name].dtype.kind == "f") for name in arrays
            )
    return {name: array.tolist() for name, array in arrays.items()}, rows


def test_the_row_format_with_one_unnamed_input():
    assert read('{"instances": [[1], [2]]}') == ({"x": [[1], [2]]}, True)
    assert read('{"instances": [{"x": [1]}, {"x": [2]}]}') == ({"x": [[1], [2]]}, True)


def test_the_row_format_with_named_inputs_gathers_each_input():
    assert read('{"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}', TWO) == ({"a": [1, 3], "b": [2, 4]}, True)


def test_the_column_format_named_and_unnamed():
    assert read('{"inputs": {"a": [1, 3], "b": [2, 4], "more": 1}}', TWO) == ({"a": [1, 3], "b": [2, 4]}, False)
    assert read('{"inputs": [1, 3]}') == ({"x": [1, 3]}, False)
    assert read('{"inputs": 3}') == ({"x": 3}, False)
    assert read('{"inputs": []}') == ({"x": []}, False)


def test_a_binary_value_is_not_mistaken_for_a_named_input():
    assert read('{"instances": [{"b64": "AA=="}]}', TEXT) == ({"x": [b"\0"]}, True)
    assert read('{"inputs": {"b64": "AA=="}}', TEXT) == ({"x": b"\0"}, False)
    named = {"b64": tf.TensorSpec(None, tf.string)}
    assert read('{"inputs": {"b64": ["a"]}}', named) == ({"b64": [b"a"]}, False)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("1e38", str(float(tf.constant(1e38))))],
)
def test_numbers_that_are_not_finite_are_read(given, read_as):
    assert str(read(f'{{"instances": [{given}]}}')[0]["x"][0]) == read_as
    assert str(read(f'{{"instances": [NaN, {given}]}}')[0]["x"][1]) == read_as


@pytest.mark.parametrize(
    ("text", "name"),
    [("{}", ""), ('{"signature_name": ""}', ""), ('{"signature_name": "s"}', "s")],
)
def test_the_signature_name_is_optional(text, name):
    assert predict_requests.read_signature_name(json.loads(text)) == name


@pytest.mark.parametrize("name", [None, 5, ["s"], True])
def test_a_signature_name_that_is_no_text_is_refused(name):
    with pytest.raises(RequestError, match="'signature_name' key must be a string value"):
        predict_requests.read_signature_name({"signature_name": name})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"\xff\xd8\xff", "JSON Parse error"),
        (b'{"instances": [Nan]}', "JSON Parse error"),
        (b'{"instances": [NaN, 1e400]}', "JSON Parse error: Number too big to be stored in double"),
        (b'{"instances": [1e400]}', "JSON Parse error"),
        (b'{"NaN": ' + b"[" * 5000, "JSON Parse error"),
        (b"[" * 5000, "JSON Parse error"),
        (b"[1, 2]", r"JSON Value: \[1, 2\] Is not object"),
        (b"NaN", "Is not object"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_reason(body, reason):
    with pytest.raises(RequestError, match=reason):
        predict_requests.read_exactly(body)


@pytest.mark.parametrize(
    ("text", "specifications", "reason"),
    [
        ("{}", ONE, "Missing 'inputs' or 'instances' key"),
        ('{"instances": [1], "inputs": [1]}', ONE, "expecting only one of 'inputs' or 'instances' keys"),
        ('{"instances": []}', ONE, "No values in 'instances' array"),
        ('{"instances": 5}', ONE, "Expecting 'instances' to be an list/array"),
        ('{"instances": [1]}', TWO, "instances is a plain list, but expecting list of objects as multiple input"),
        ('{"instances": [[1], {"x": 1}]}', ONE, "Expecting value/list but got object at item 1 of input list"),
        ('{"instances": [{"x": 1}, 5]}', ONE, "Expecting object but got list at item 1 of input list"),
        ('{"instances": [{"z": 1}]}', ONE, "element: 0 key: z of 'instances' list.*does not have named input: z"),
        ('{"instances": [{"a": 1, "b": 1}, {"a": 1}]}', TWO, "element: 1 .*JSON object: .*keys must be .*: a,b"),
        ('{"inputs": [1]}', TWO, "inputs is a plain value/list, but expecting an object as multiple input"),
        ('{"inputs": {"a": [1]}}', TWO, "Missing named input: b in 'inputs' object"),
    ],
)
def test_a_request_of_another_form_is_refused_with_the_reason(text, specifications, reason):
    with pytest.raises(RequestError, match=f"(?s){reason}"):
        read(text, specifications)

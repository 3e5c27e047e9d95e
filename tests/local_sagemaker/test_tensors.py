import base64
import json

import numpy as np
import pytest
import tensorflow as tf

from local_sagemaker import tensors
from local_sagemaker.tensors import RequestError

PIXELS = tf.TensorSpec((None, 2, 2), tf.float32)
WORDS = tf.TensorSpec((None,), tf.string)


def read(document: object) -> tuple:
    return tensors.read_request(json.dumps(document).encode())


def test_the_row_format_with_one_unnamed_input():
    assert read({"instances": [[1], [2]]}) == ("serving_default", None, [[1], [2]], True)


def test_the_row_format_with_named_inputs_gathers_each_input():
    signature, named, _, rows = read({"signature_name": "s", "instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]})
    assert (signature, named, rows) == ("s", {"a": [1, 3], "b": [2, 4]}, True)


def test_the_column_format_named_and_unnamed():
    assert read({"inputs": {"a": [1, 3]}})[1:] == ({"a": [1, 3]}, None, False)
    assert read({"inputs": [1, 3]})[1:] == (None, [1, 3], False)


def test_a_binary_value_is_not_mistaken_for_a_named_input():
    assert read({"instances": [{"b64": "AA=="}]})[1:] == (None, [{"b64": "AA=="}], True)
    assert read({"inputs": {"b64": "AA=="}})[1:] == (None, {"b64": "AA=="}, False)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSON Parse error"),
        (b"\xff\xd8\xff", "JSON Parse error"),
        (b'{"instances": [NaN]}', "JSON Parse error"),
        (b"[" * 2000, "JSON Parse error"),
        (b"[1, 2]", "JSON object with 'instances' or 'inputs'"),
        (b"{}", "exactly one of 'instances'"),
        (b'{"instances": [1], "inputs": [1]}', "exactly one of 'instances'"),
        (b'{"instances": []}', "at least one instance"),
        (b'{"instances": 5}', "at least one instance"),
        (b'{"instances": [{"a": 1}, {"b": 1}]}', "the same keys"),
        (b'{"instances": [{"a": 1}, 5]}', "the same keys"),
        (b'{"instances": [1], "signature_name": 5}', "'signature_name' must be a string"),
    ],
)
def test_a_request_of_another_form_is_refused_with_the_reason(body, reason):
    with pytest.raises(RequestError, match=reason):
        tensors.read_request(body)


def test_numbers_become_a_tensor_of_the_type_the_model_wants():
    tensor = tensors.to_tensor([[[0, 255], [1, 2]]], PIXELS, "x")
    assert tensor.dtype == tf.float32
    assert tensor.numpy().tolist() == [[[0, 255], [1, 2]]]


def test_strings_and_base64_become_bytes():
    raw = bytes(range(256))
    tensor = tensors.to_tensor(["çok", {"b64": base64.b64encode(raw).decode()}], WORDS, "x")
    assert tensor.numpy().tolist() == ["çok".encode(), raw]


@pytest.mark.parametrize(
    ("value", "specification", "reason"),
    [
        ([[[1, 2], [3]]], PIXELS, "Input 'x' is ragged"),
        ([[[1, 2], [3, 4]], [[1, 2]]], PIXELS, "Input 'x' is ragged"),
        ([[[1, 2, 3], [4, 5, 6]]], PIXELS, r"has shape \[1, 2, 3\], but the model wants \[None, 2, 2\]"),
        ([1], PIXELS, r"has shape \[1\]"),
        (7, PIXELS, r"has shape \[\]"),
        ([[["1", "2"], ["3", "4"]]], PIXELS, "must hold values of type float32"),
        ([[[None, 2], [3, 4]]], PIXELS, "must hold values of type float32"),
        ([[[True, False], [True, True]]], PIXELS, "must hold values of type float32"),
        ([1.5], tf.TensorSpec((None,), tf.int32), "must hold values of type int32"),
        ([3_000_000_000], tf.TensorSpec((None,), tf.int32), "outside the range of int32"),
        ([-1], tf.TensorSpec((None,), tf.uint8), "outside the range of uint8"),
        ([1], tf.TensorSpec((None,), tf.bool), "must hold values of type bool"),
        ([1], WORDS, "must hold values of type string"),
        ([{"b64": "*"}], WORDS, "not valid base64"),
        ([{"b64": 5}], WORDS, "must be written as"),
        ([{"bytes": "AA=="}], WORDS, "must be written as"),
        ([["a", "b"], ["c"]], WORDS, "must hold values of type string|is ragged"),
        ([[["a"], ["b"]], ["c", "d"]], tf.TensorSpec((None, 2, 1), tf.string), "is ragged"),
        (json.loads("[" * 600 + '"a"' + "]" * 600), WORDS, "too deep"),
    ],
)
def test_values_that_do_not_fit_the_input_are_refused_with_the_reason(value, specification, reason):
    with pytest.raises(RequestError, match=reason):
        tensors.to_tensor(value, specification, "x")


def test_one_output_loses_its_name():
    values = np.array([[0.5, 1.0]], dtype=np.float32)
    assert json.loads(tensors.write_response({"y": values}, rows=True)) == {"predictions": [[0.5, 1.0]]}
    assert json.loads(tensors.write_response({"y": values}, rows=False)) == {"outputs": [[0.5, 1.0]]}


def test_several_outputs_become_one_object_a_row_or_one_array_an_output():
    outputs = {"label": np.array([b"cat", b"dog"], dtype=object), "p": np.array([[1, 2], [3, 4]], dtype=np.int32)}
    rows = [{"label": "cat", "p": [1, 2]}, {"label": "dog", "p": [3, 4]}]
    assert json.loads(tensors.write_response(outputs, rows=True)) == {"predictions": rows}
    columns = {"label": ["cat", "dog"], "p": [[1, 2], [3, 4]]}
    assert json.loads(tensors.write_response(outputs, rows=False)) == {"outputs": columns}


@pytest.mark.parametrize(
    ("array", "written"),
    [
        (np.array([True, False]), [True, False]),
        (np.array([1, 255], dtype=np.uint8), [1, 255]),
        (np.array([0.5], dtype=np.float16), [0.5]),
        (tf.constant([1.5], tf.bfloat16).numpy(), [1.5]),
        (np.array([2**62], dtype=np.int64), [2**62]),
    ],
)
def test_every_type_of_output_is_written(array, written):
    assert json.loads(tensors.write_response({"y": array}, rows=True)) == {"predictions": written}


def test_an_output_named_bytes_is_written_in_base64():
    outputs = {"image_bytes": np.array([b"\xff\x00"], dtype=object)}
    assert json.loads(tensors.write_response(outputs, rows=True)) == {"predictions": [{"b64": "/wA="}]}


def test_bytes_that_are_no_text_name_the_way_out():
    with pytest.raises(RequestError, match="its name must end in '_bytes'"):
        tensors.write_response({"image": np.array([b"\xff"], dtype=object)}, rows=True)


@pytest.mark.parametrize("outputs", [{"a": np.float32(1)}, {"a": np.zeros(2), "b": np.zeros(3)}])
def test_outputs_without_a_common_batch_size_need_the_column_format(outputs):
    with pytest.raises(RequestError, match="Use the column format"):
        tensors.write_response(outputs, rows=True)
    assert set(json.loads(tensors.write_response(outputs, rows=False))) == {"outputs"}

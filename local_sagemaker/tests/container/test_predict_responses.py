import json

import numpy as np
import pytest
import tensorflow as tf

from local_sagemaker.container import predict_responses
from local_sagemaker.container.tensors import RequestError


def test_one_output_loses_its_name():
    values = np.array([[0.5, 1.0]], dtype=np.float32)
    assert json.loads(predict_responses.write_response({"y": values}, rows=True)) == {"predictions": [[0.5, 1.0]]}
    assert json.loads(predict_responses.write_response({"y": values}, rows=False)) == {"outputs": [[0.5, 1.0]]}


def test_several_outputs_become_one_object_a_row_or_one_array_an_output():
    outputs = {"label": np.array([b"cat", b"dog"], dtype=object), "p": np.array([[1, 2], [3, 4]], dtype=np.int32)}
    rows = [{"label": "cat", "p": [1, 2]}, {"label": "dog", "p": [3, 4]}]
    assert json.loads(predict_responses.write_response(outputs, rows=True)) == {"predictions": rows}
    columns = {"label": ["cat", "dog"], "p": [[1, 2], [3, 4]]}
    assert json.loads(predict_responses.write_response(outputs, rows=False)) == {"outputs": columns}


@pytest.mark.parametrize(
    ("array", "written"),
    [
        (np.array([True, False]), [True, False]),
        (np.array([1, 255], dtype=np.uint8), [1, 255]),
        (np.array([2**62], dtype=np.int64), [2**62]),
    ],
)
def test_every_type_of_output_is_written(array, written):
    assert json.loads(predict_responses.write_response({"y": array}, rows=True)) == {"predictions": written}


def test_an_output_named_bytes_is_written_in_base64():
    outputs = {"image_bytes": np.array([b"\xff\x00"], dtype=object)}
    assert json.loads(predict_responses.write_response(outputs, rows=True)) == {"predictions": [{"b64": "/wA="}]}


def test_bytes_that_are_no_text_name_the_way_out():
    with pytest.raises(RequestError, match="its name must end in '_bytes'"):
        predict_responses.write_response({"image": np.array([b"\xff"], dtype=object)}, rows=True)


@pytest.mark.parametrize("outputs", [{"a": np.float32(1)}, {"a": np.zeros(2), "b": np.zeros(3)}])
def test_outputs_without_a_common_batch_size_need_the_column_format(outputs):
    with pytest.raises(RequestError, match="Use the column format"):
        predict_responses.write_response(outputs, rows=True)
    assert set(json.loads(predict_responses.write_response(outputs, rows=False))) == {"outputs"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite_are_the_tokens_of_tensorflow_serving(dtype):
    array = tf.constant([[1.5, np.nan], [np.inf, -np.inf]], dtype).numpy()
    written = predict_responses.write_response({"y": array}, rows=True)
    assert written == b'{"predictions":[[1.5,NaN],[Infinity,-Infinity]]}'
    written = predict_responses.write_response({"y": array[0], "null": array[1]}, rows=True)
    assert written == b'{"predictions":[{"y":1.5,"null":Infinity},{"y":NaN,"null":-Infinity}]}'
    assert predict_responses.write_response({"y": array[1][0]}, rows=False) == b'{"outputs":Infinity}'


def test_a_number_of_single_precision_is_written_without_the_digits_of_double_precision():
    assert predict_responses.write_response({"y": np.float32([0.1])}, rows=True) == b'{"predictions":[0.1]}'
    assert predict_responses.write_response({"y": np.array(0.1, np.float32)}, rows=False) == b'{"outputs":0.1}'


def test_an_empty_batch_has_outputs_but_no_predictions():
    with pytest.raises(RequestError, match="Tensor name: y has invalid batch size: 0"):
        predict_responses.write_response({"y": np.zeros((0, 3))}, rows=True)
    assert predict_responses.write_response({"y": np.zeros((2, 0))}, rows=False) == b'{"outputs":[[],[]]}'


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(RequestError, match="Failed to write JSON value for tensor type: complex64"):
        predict_responses.write_response({"y": np.zeros(1, np.complex64)}, rows=True)
    assert predict_responses.write_response({"y": np.zeros(0, np.complex64)}, rows=False) == b'{"outputs":[]}'
    with pytest.raises(RequestError, match="Cannot convert empty tensor map to JSON"):
        predict_responses.write_response({}, rows=True)


def test_a_number_of_single_precision_has_six_digits_or_nine_whatever_its_size():
    bits = np.random.default_rng(7).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = np.concatenate([bits.view(np.float32), (10.0 ** np.arange(-44, 39)).astype(np.float32)])
    numbers = numbers[np.isfinite(numbers)]
    found = json.loads(predict_responses.write_response({"y": numbers}, rows=True))["predictions"]
    for number, read in zip(numbers, found, strict=True):
        short = float(f"{number:.6g}")
        assert read == (short if np.float32(short) == number else float(f"{number:.9g}"))

import json

import numpy as np
import pytest
import tensorflow as tf

from local_sagemaker.container import predict_responses
from local_sagemaker.container.tensors import RequestError


def test_bytes_that_are_no_text_name_the_way_out():
    with pytest.raises(RequestError, match="its name must end in '_bytes'"):
        predict_responses.write_response({"image": np.array([b"\xff"], dtype=object)}, rows=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite_are_the_tokens_of_tensorflow_serving(dtype):
    array = tf.constant([[1.5, np.nan], [np.inf, -np.inf]], dtype).numpy()
    written = predict_responses.write_response({"y": array}, rows=True)
    assert written == b'{"predictions":[[1.5,NaN],[Infinity,-Infinity]]}'
    written = predict_responses.write_response({"y": array[0], "null": array[1]}, rows=True)
    assert written == b'{"predictions":[{"y":1.5,"null":Infinity},{"y":NaN,"null":-Infinity}]}'
    assert predict_responses.write_response({"y": array[1][0]}, rows=False) == b'{"outputs":Infinity}'


def test_an_empty_batch_has_outputs_but_no_predictions():
    with pytest.raises(RequestError, match="Tensor name: y has invalid batch size: 0"):
        predict_responses.write_response({"y": np.zeros((0, 3))}, rows=True)
    assert predict_responses.write_response({"y": np.zeros((2, 0))}, rows=False) == b'{"outputs":[[],[]]}'


def test_a_number_of_single_precision_has_six_digits_or_nine_whatever_its_size():
    bits = np.random.default_rng(7).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = np.concatenate([bits.view(np.float32), (10.0 ** np.arange(-44, 39)).astype(np.float32)])
    numbers = numbers[np.isfinite(numbers)]
    found = json.loads(predict_responses.write_response({"y": numbers}, rows=True))["predictions"]
    for number, read in zip(numbers, found, strict=True):
        short = float(f"{number:.6g}")
        assert read == (short if np.float32(short) == number else float(f"{number:.9g}"))


def test_a_signature_without_outputs_has_no_answer():
    with pytest.raises(RequestError, match="Cannot convert empty tensor map to JSON"):
        predict_responses.write_response({}, rows=True)


def test_rows_need_outputs_of_one_batch_size():
    outputs = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(RequestError, match="b has inconsistent batch size: 3 expecting: 2"):
        predict_responses.write_response(outputs, rows=True)
    assert set(json.loads(predict_responses.write_response(outputs, rows=False))["outputs"]) == {"a", "b"}

import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf

from local_sagemaker.container import predict_requests
from local_sagemaker.container.tensors import RequestError

ONE = {"x": tf.TensorSpec(None, tf.float32)}
TWO = {"a": tf.TensorSpec((None,), tf.float32), "b": tf.TensorSpec((None,), tf.int32)}


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


def test_the_row_format_with_named_inputs_gathers_each_input():
    assert read('{"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}', TWO) == ({"a": [1, 3], "b": [2, 4]}, True)


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

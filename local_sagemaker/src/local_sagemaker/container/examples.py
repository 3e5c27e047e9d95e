"""Requests for ``classify`` and ``regress``, and their answers, as TensorFlow Serving's REST API reads and writes them.

See "Classify and Regress API" in the TensorFlow Serving documentation: a list of examples, each a ``tf.train.Example``
written as a JSON object, to a model that parses them. Names of tensors decide which model can do that, not the method
that its signature names.
"""

from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from local_sagemaker.container.json_quotes import quote
from local_sagemaker.container.predict_requests import read_exactly, read_signature_name
from local_sagemaker.container.predict_responses import plain
from local_sagemaker.container.tensors import RequestError, decode, is_binary, kind_of, type_name
from local_sagemaker.engines.signatures import Arrays, Signature

_INPUT = "inputs"
_CLASSES, _SCORES, _VALUES = "classes", "scores", "outputs"
_LARGEST = 2**63 - 1


def read_request(body: bytes) -> tuple[str, np.ndarray]:
    """Read a request.

    Returns:
        Name of the signature, empty if it is the default one, and the serialized examples, a vector of bytes objects.

    Raises:
        RequestError: If the body is no such request.
    """
    document = read_exactly(body)
    name = read_signature_name(document)
    context = _serialize(document["context"]) if "context" in document else b""
    if "examples" not in document:
        missing = "When method is classify, key 'examples' is expected and was not found"
        raise RequestError(f"JSON Value: {quote(document)} {missing}")
    listed = document["examples"]
    if not isinstance(listed, list):
        raise RequestError(f"JSON Value: {quote(document)} Expecting 'examples' value to be an list/array")
    if not listed:
        raise RequestError(f"JSON Value: {quote(document)} 'examples' value is an empty array")
    return name, np.array([context + _serialize(example) for example in listed], dtype=object)


def check_signature(signature: Signature, method: str) -> None:
    """Refuse, by what it lacks, a signature that does not take examples, or does not return what the method does."""
    inputs, outputs = signature.specifications, signature.outputs
    wanted, kind = ({_CLASSES, _SCORES}, "classification") if method == "classify" else ({_VALUES}, "regression")
    if len(inputs) != 1:
        raise RequestError("Expected one input Tensor.")
    if not 1 <= len(outputs) <= len(wanted):
        found = f"one or two output Tensors, found {len(outputs)}" if len(wanted) > 1 else "one output Tensor."
        raise RequestError(f"Expected {found}")
    if _INPUT not in inputs:
        raise RequestError(
            f"No {kind} inputs found in SignatureDef: its input is {next(iter(inputs))!r}, not 'inputs'."
        )
    if not wanted & outputs.keys():
        if method == "classify":
            reason = 'Expected classification signature outputs to contain at least one of "classes" or "scores".'
        else:
            reason = "No regression outputs found in SignatureDef:"
        raise RequestError(f"{reason} The outputs are {', '.join(sorted(outputs))}.")
    if inputs[_INPUT].dtype != tf.string:
        raise RequestError(f"Expects arg[0] to be {type_name(inputs[_INPUT].dtype)} but string is provided")


def write_results(outputs: Arrays, method: str, count: int) -> bytes:
    """Write for each example its classes with their scores, or its value; other outputs are a ``RequestError``."""
    results = _classes(outputs, count) if method == "classify" else _values(outputs[_VALUES], count)
    return orjson.dumps({"results": results}, option=orjson.OPT_SERIALIZE_NUMPY)


def _classes(outputs: Arrays, count: int) -> Any:
    found = {name: outputs[name] for name in (_CLASSES, _SCORES) if name in outputs}
    for name, array in found.items():
        dtype = np.float32 if name == _SCORES else object
        if array.ndim != 2:
            shape = str(list(array.shape)).replace(" ", "")
            raise RequestError(f"Expected Tensor shape: [batch_size num_classes] but got {shape}")
        if array.dtype != dtype:
            wanted = "FLOAT" if name == _SCORES else "STRING"
            raise RequestError(f"Expected {name} Tensor of DT_{wanted}. Got: {_enumerator(array)}")
        if len(array) != count:
            raise RequestError(f"Expected {name} output batch size of {count}. Got: {len(array)}")
    sizes = [array.shape[1] for array in found.values()]
    if len(set(sizes)) > 1:
        reason = f"Got {sizes[0]} vs. {sizes[1]}"
        raise RequestError(f"Tensors class and score should match in dim_size(1). {reason}")
    pairs = count * sizes[0]
    labels = plain(found[_CLASSES].ravel(), _CLASSES, by_row=True) if _CLASSES in found else [""] * pairs
    scores = plain(found[_SCORES].ravel(), _SCORES, by_row=True) if _SCORES in found else [0.0] * pairs
    each = iter(zip(labels, scores, strict=True))
    return [[next(each) for _ in range(sizes[0])] for _ in range(count)]


def _values(array: np.ndarray, count: int) -> Any:
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        shape = str(list(array.shape)).replace(" ", "")
        raise RequestError(f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape}")
    if len(array) != count:
        raise RequestError(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        raise RequestError(f"Expected output Tensor of DT_FLOAT.  Got: {_enumerator(array)}")
    return plain(array.ravel(), _VALUES, by_row=True)


def _enumerator(array: np.ndarray) -> str:
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    return f"DT_{type_name(dtype).upper()}"


def _serialize(value: Any) -> bytes:
    """Return a JSON object as a serialized ``tf.train.Example``."""
    if not isinstance(value, dict):
        raise RequestError(f"Example must be JSON object but got JSON {kind_of(value)}")
    example = tf.train.Example()
    for name, content in value.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError:
            raise RequestError(f"The name of a feature is no UTF-8: {name!r}") from None
        feature.Clear()  # of equal names the last counts
        for item in content if isinstance(content, list) else [content]:
            _add(feature, name, item)
    return bytes(example.SerializeToString())


def _add(feature: tf.train.Feature, name: str, value: Any) -> None:
    if isinstance(value, str):
        kind, value = "bytes", value.encode("utf-8", "surrogateescape")
    elif is_binary(value):
        kind, value = "bytes", decode(value)
    elif isinstance(value, float):
        kind = "float"
    elif isinstance(value, int):
        kind = "int64"
    else:
        raise RequestError(f"Feature: {name} has element with unexpected JSON type: {kind_of(value)}")
    before = feature.WhichOneof("kind")
    if before not in (None, f"{kind}_list"):
        expected = before.removesuffix("_list")
        raise RequestError(f"Unexpected element type in feature: {name} expecting type: {expected}")
    if kind == "int64" and value > _LARGEST:
        raise RequestError(f"Feature: {name} has uint64 element. Only int64 is supported.")
    getattr(feature, f"{kind}_list").value.append(value)

"""Rehearsals: a new architecture must answer made-up inputs as the model itself does before it serves anyone."""

import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from local_sagemaker.engines.signatures import Arrays, Signature

_BATCH = 2
_OTHER_SIZE = 8  # of a dimension that the signature leaves open
# Relative and absolute tolerance; the kernels of the two may sum in another order.
_TOLERANCE = (1e-3, 1e-5)
_HALF_TOLERANCE = (2e-2, 1e-2)


class RehearsalError(RuntimeError):
    """The answers differ; the message tells where."""


def rehearse(expected: Signature, found: Signature) -> float:
    """Compare what two engines make of one signature.

    Inputs on which both fail in the same way, such as images too small for the model, prove nothing and harm nothing.

    Returns:
        Seconds of this thread that the second engine takes for the made-up inputs.

    Raises:
        RehearsalError: If their inputs, answers or failures differ by more than the order of a sum explains.
    """
    if _forms(expected) != _forms(found):
        raise RehearsalError(f"The inputs are {_forms(found)}, not {_forms(expected)}.")
    inputs = make_up_inputs(expected.specifications)
    answer, answer_found = _answer(expected, inputs), _answer(found, inputs)
    if isinstance(answer, type) or isinstance(answer_found, type):
        if answer is not answer_found:
            raise RehearsalError("One of the two fails on a made-up input.")
    elif list(answer) != list(answer_found):
        raise RehearsalError(f"The outputs are {list(answer_found)}, not {list(answer)}.")
    else:
        for name in answer:
            if not are_equal(answer[name], answer_found[name]):
                raise RehearsalError(f"The output {name!r} differs.")
    started = time.thread_time()
    _answer(found, inputs)  # for the second time: the first one includes the optimization of the graph
    return time.thread_time() - started


def make_up_inputs(specifications: Mapping[str, tf.TensorSpec]) -> Arrays:
    """Return small inputs of the wanted dtypes and shapes; strings are images, which any model of strings takes."""
    chosen = np.random.default_rng(5)
    return {name: _make_up(specification, chosen) for name, specification in specifications.items()}


def are_equal(expected: np.ndarray, found: np.ndarray) -> bool:
    """Tell whether two arrays are equal, but for the order in which numbers were summed."""
    if (expected.dtype, expected.shape) != (found.dtype, found.shape):
        return False
    if np.array_equal(expected, found):
        return True
    dtype = tf.as_dtype(expected.dtype)
    if not (dtype.is_floating or dtype.is_complex):
        return False
    wide = np.complex128 if dtype.is_complex else np.float64
    relative, absolute = _HALF_TOLERANCE if dtype.size == 2 else _TOLERANCE
    return np.allclose(found.astype(wide), expected.astype(wide), rtol=relative, atol=absolute, equal_nan=True)


def _forms(signature: Signature) -> list[tuple[str, str, str]]:
    specifications = sorted(signature.specifications.items())
    return [(name, specification.dtype.name, str(specification.shape)) for name, specification in specifications]


def _answer(signature: Signature, inputs: Arrays) -> Arrays | type[tf.errors.OpError]:
    try:
        return signature.call(inputs)
    except tf.errors.OpError as error:
        return type(error)


def _make_up(specification: tf.TensorSpec, chosen: np.random.Generator) -> np.ndarray:
    sizes = [] if specification.shape.rank is None else specification.shape.as_list()
    shape = [size if size is not None else _OTHER_SIZE if axis else _BATCH for axis, size in enumerate(sizes)]
    dtype = specification.dtype
    if dtype == tf.string:
        image = tf.io.encode_png(chosen.integers(0, 256, (9, 8, 3), dtype=np.uint8)).numpy()
        return np.full(shape, image, dtype=object)
    if dtype.is_floating or dtype.is_complex:
        return np.asarray(chosen.random(shape)).astype(dtype.as_numpy_dtype)
    return np.asarray(chosen.integers(0, 2, shape)).astype(dtype.as_numpy_dtype)  # a row of any table

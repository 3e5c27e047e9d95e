"""Prepared weights: the weights of one model in a file that is mapped into memory and fed to its architecture as it is.

A checkpoint packs its tensors one after the other; TensorFlow takes an array without a copy only where it begins at a
multiple of 64 bytes. So the weights are written once more, aligned, to ``<base path>/<version>.weights``. Mapped, they
are pages of a file: the system reads them when they are used and drops them when memory is short.

The file is ``tensors, table, end``. The table is JSON: which model the file was made from, and what its signatures
need. The end has the table's size and a checksum of all before it. A file that is of another model, of another form,
cut off or damaged is no prepared file, and is written anew.
"""

import base64
import mmap
import os
import stat
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import tensorflow as tf
from zlib_ng import zlib_ng

_FORM = 2  # grows with every change of this file's form, or of how pure graphs are written
_END = struct.Struct("<QI4s")
_MAGIC = b"LSMW"
_ALIGNMENT = 64
_SIZED = (  # dtypes whose arrays TensorFlow takes as they lie in memory
    *(tf.float16, tf.float32, tf.float64, tf.bfloat16, tf.complex64, tf.complex128, tf.bool),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
)
_DTYPES = {dtype.name: np.dtype(dtype.as_numpy_dtype) for dtype in _SIZED}

Signatures = Mapping[str, tuple[str, Sequence[Any]]]  # per signature, its architecture's key and its weights in order


@dataclass(frozen=True)
class PreparedWeights:
    """What a model has for itself."""

    signatures: dict[str, tuple[str, list[np.ndarray]]]  # the key of each one's architecture, and its weights in order
    size: int  # bytes of all weights; one that several signatures share counts once


class PreparationError(ValueError):
    """This is no prepared file of the model, or cannot become one; the message tells why."""


def path_of(version_folder: Path) -> Path:
    """Return where the prepared weights of a model lie."""
    return version_folder.with_suffix(".weights")


def prepare(path: Path, source: str, signatures: Signatures, *, read: Callable[[Any], np.ndarray]) -> PreparedWeights:
    """Write a prepared file and map it; it appears whole or not at all.

    Where the folder cannot be written to, the file has no name and goes with the model. The source is the digest of
    the model. ``read`` returns the weight of a name, so that one at a time is in memory.

    Raises:
        PreparationError: If a weight is of a dtype that cannot be mapped.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError:
        with tempfile.TemporaryFile() as file:
            _write(file, source, signatures, read)
            return _map(file, source)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _write(file, source, signatures, read)
            prepared = _map(file, source)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return prepared


def open_prepared(path: Path, source: str) -> PreparedWeights:
    """Map a prepared file.

    Raises:
        PreparationError: If it is not a whole one of this model.
        OSError: If it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PreparationError("It is no file.")
        return _map(file, source)


def _write(file: BinaryIO, source: str, signatures: Signatures, read: Callable[[Any], np.ndarray]) -> None:
    checksum = 0
    places: dict[Any, int] = {}
    entries: list[dict[str, Any]] = []
    for name in (name for _, names in signatures.values() for name in names):
        if name in places:
            continue
        places[name] = len(entries)
        entry, data = _entry(read(name))
        if data:
            entry["offset"] = file.tell() + -file.tell() % _ALIGNMENT
            for part in (bytes(-file.tell() % _ALIGNMENT), data):
                file.write(part)
                checksum = zlib_ng.crc32(part, checksum)
        entries.append(entry)
    table = orjson.dumps(
        {
            "form": _FORM,
            "source": source,
            "signatures": {name: [key, [places[name] for name in names]] for name, (key, names) in signatures.items()},
            "weights": entries,
        }
    )
    file.write(table)
    file.write(_END.pack(len(table), zlib_ng.crc32(table, checksum), _MAGIC))
    file.flush()


def _entry(value: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """Return the line of the table that describes a weight, and the bytes that lie in the file."""
    shape = list(value.shape)
    if value.dtype == object:
        return {"strings": [base64.b64encode(text).decode() for text in value.ravel()], "shape": shape}, b""
    name = tf.as_dtype(value.dtype).name
    if name not in _DTYPES:
        raise PreparationError(f"Weights of type {name} cannot be mapped.")
    return {"dtype": name, "shape": shape, "offset": 0}, value.tobytes()


def _map(file: BinaryIO, source: str) -> PreparedWeights:
    try:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        table_size, checksum, magic = _END.unpack(whole[-_END.size :])
        if magic != _MAGIC or zlib_ng.crc32(whole[: -_END.size]) != checksum:
            raise PreparationError("It is damaged.")
        tensors, table = whole[: -_END.size - table_size], whole[-_END.size - table_size : -_END.size]
        document = orjson.loads(table)
        if (document["form"], document["source"]) != (_FORM, source):
            raise PreparationError("It was made from another model.")
        weights = [_weight(entry, tensors) for entry in document["weights"]]
        signatures = {
            name: (key, [weights[place] for place in places]) for name, (key, places) in document["signatures"].items()
        }
        return PreparedWeights(signatures, sum(weight.nbytes for weight in weights if weight.dtype != object))
    except (struct.error, LookupError, TypeError, ValueError) as error:
        raise PreparationError(str(error)) from error


def _weight(entry: Mapping[str, Any], tensors: memoryview) -> np.ndarray:
    if "strings" in entry:
        texts = np.empty(len(entry["strings"]), dtype=object)
        texts[:] = [base64.b64decode(text) for text in entry["strings"]]
        return texts.reshape(entry["shape"])
    dtype, shape, offset = _DTYPES[entry["dtype"]], entry["shape"], entry["offset"]
    if offset < 0 or offset % _ALIGNMENT or min(shape, default=0) < 0:
        raise PreparationError("A weight has no place.")
    return np.ndarray(shape, dtype, tensors, offset)

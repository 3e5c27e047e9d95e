"""SavedModels in memory: load, signatures, predict, footprint, unload."""

import ctypes
import ctypes.util
import gc
import re
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from local_sagemaker import tensors
from local_sagemaker.tensors import RequestError


class BasePathError(FileNotFoundError):
    """There is no numeric version folder with a SavedModel."""


class Servable:
    """One loaded SavedModel: the highest version below its base path."""

    def __init__(self, name: str, base_path: Path) -> None:
        """Load the model.

        Raises:
            BasePathError: If no numeric version folder lies below the base path.
        """
        self.name = name
        self.version, folder = highest_version(name, base_path)
        self._model = tf.saved_model.load(str(folder))
        self._signatures: dict[str, Any] = dict(self._model.signatures)
        self.footprint = sum(variable.dtype.size * variable.shape.num_elements() for variable in self._variables())

    def predict(self, body: bytes) -> bytes:
        """Answer a predict request.

        Args:
            body: JSON text in TensorFlow Serving's row or column format.

        Returns:
            JSON text in the same format.

        Raises:
            RequestError: If the request does not fit the signature, or the model refuses its content.
        """
        signature_name, named, single, rows = tensors.read_request(body)
        signature = self._signatures.get(signature_name)
        if signature is None:
            known = ", ".join(sorted(self._signatures))
            raise RequestError(f'Serving signature name: "{signature_name}" not found. The model has: {known}.')
        specifications = signature.structured_input_signature[1]
        if named is None:
            if len(specifications) != 1:
                raise RequestError(f"The model has the inputs {sorted(specifications)}: name the values.")
            named = {next(iter(specifications)): single}
        if named.keys() != specifications.keys():
            raise RequestError(f"The request has the inputs {sorted(named)}, the model {sorted(specifications)}.")
        arguments = {name: tensors.to_tensor(named[name], specifications[name], name) for name in specifications}
        try:
            outputs = signature(**arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise RequestError(_serving_message(error.message)) from error
        return tensors.write_response({name: value.numpy() for name, value in outputs.items()}, rows=rows)

    def unload(self) -> None:
        """Release the model's memory; it cannot be used afterwards."""
        self._signatures.clear()
        self._model = None
        gc.collect()
        _return_memory()

    def _variables(self) -> list[Any]:
        seen = {id(variable): variable for signature in self._signatures.values() for variable in signature.variables}
        return list(seen.values())


def saved_bytes(base_path: Path, name: str) -> int:
    """Return the size of a SavedModel's weights on disk, a forecast of its footprint, in bytes."""
    _, folder = highest_version(name, base_path)
    return sum(path.stat().st_size for path in folder.glob("variables/variables.data-*"))


def highest_version(name: str, base_path: Path) -> tuple[str, Path]:
    """Return the highest version below a base path, without leading zeros, and its folder.

    Raises:
        BasePathError: If there is none.
    """
    candidates = [
        path
        for path in (base_path.iterdir() if base_path.is_dir() else [])
        if path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()
    ]
    if not candidates:
        raise BasePathError(f"Could not find valid base path {base_path} for servable {name}")
    best = max(candidates, key=lambda path: int(path.name))
    return str(int(best.name)), best


def _serving_message(text: str) -> str:
    """Return an error's text as TensorFlow Serving gives it, without what the Python runtime adds."""
    text = text.rpartition("<stack traces unavailable>\n")[2]
    return re.sub(r" \[Op:\w+\]$", "", text)


def _return_memory() -> None:
    """Give freed pages back to the system; glibc keeps them otherwise."""
    if sys.platform == "linux":
        library = ctypes.util.find_library("c")
        if library and hasattr(ctypes.CDLL(library), "malloc_trim"):
            ctypes.CDLL(library).malloc_trim(0)

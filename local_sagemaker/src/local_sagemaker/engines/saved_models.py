"""A SavedModel on disk, as its protobuf and its checkpoint tell, without a graph or a variable being built."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from local_sagemaker.engines.pure_bodies import ImpureGraphError
from local_sagemaker.engines.pure_graphs import Weight
from local_sagemaker.engines.saved_graphs import SavedGraph, saved_graph
from local_sagemaker.settings import SAVED_MODEL_FILES


class SavedModel:
    """One version folder: ``saved_model.pb`` and ``variables/``."""

    def __init__(self, folder: Path) -> None:
        """Read the files that describe the model; ``variables.data-*``, by far the largest, is left alone."""
        self.folder = folder
        self._prefix = folder / "variables" / "variables"
        binary = folder / SAVED_MODEL_FILES[0]
        if binary.is_file():
            self._text = binary.read_bytes()
        else:
            self._text = loader_impl.parse_saved_model(str(folder)).SerializeToString(deterministic=True)
        index = self._prefix.with_suffix(".index")
        self._index = index.read_bytes() if index.is_file() else b""
        self._sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("variables/variables.data-*"))}

    @cached_property
    def digest(self) -> str:
        """Digest of the model: of its graph, and of its checkpoint's index, which has a checksum of every variable."""
        digest = hashlib.blake2b(repr((len(self._text), len(self._index), self._sizes)).encode(), digest_size=24)
        digest.update(self._text)
        digest.update(self._index)
        return digest.hexdigest()

    @cached_property
    def graph(self) -> SavedGraph:
        """What ``saved_model.pb`` says."""
        return saved_graph(self._text)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the checkpoint."""
        return sum(self._sizes.values())

    def read(self, weight: Weight) -> np.ndarray:
        """Return a weight's value; an ``ImpureGraphError`` tells that a variable is not restored as one piece."""
        if weight.is_constant:
            return np.asarray(tf.make_ndarray(self.graph.nodes[weight.node].attr["value"].tensor))
        key = self.graph.checkpoint_keys.get(weight.node)
        if key is None:
            raise ImpureGraphError(f"The variable {weight.node} is not restored from one tensor of the checkpoint.")
        value = np.asarray(self._checkpoint.get_tensor(key))
        variable = self.graph.nodes[weight.node]
        wanted = tf.TensorSpec(variable.attr["shape"].shape, variable.attr["dtype"].type)
        if tf.as_dtype(value.dtype) != wanted.dtype or not wanted.shape.is_compatible_with(value.shape):
            raise ImpureGraphError(f"The checkpoint has another form of the variable {weight.node}.")
        return value

    @cached_property
    def _checkpoint(self) -> Any:
        return tf.train.load_checkpoint(str(self._prefix))

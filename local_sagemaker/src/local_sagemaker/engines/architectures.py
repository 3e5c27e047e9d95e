"""Architectures: one executable graph for all models that differ in nothing but their weights.

Weights are inputs like any other. TensorFlow takes an aligned array as it lies in memory, so weights in a memory map
are never copied.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from local_sagemaker import memory
from local_sagemaker.engines.graph_calls import GraphCall
from local_sagemaker.engines.pure_graphs import PureGraph
from local_sagemaker.engines.signatures import Arrays


class Architecture:
    """An executable graph. Threads may call it at the same time."""

    def __init__(self, pure_graph: PureGraph, *, all_cores: bool) -> None:
        """Build the graph; ``all_cores`` lets an operation be split among all cores, which makes small ones slower.

        Without ``settings.RUNTIME_ENVIRONMENT`` TensorFlow has one pool of threads for all.
        """
        self.all_cores = all_cores
        self.inputs = pure_graph.inputs
        self.outputs = pure_graph.outputs
        weights = [node.attr for node in pure_graph.graph.node if node.name.startswith("weight_")]
        self._weights = [tf.TensorSpec(attr["shape"].shape, attr["dtype"].type) for attr in weights]
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(pure_graph.graph, name="")
        threads = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=0 if all_cores else 1)
        self._session = tf.compat.v1.Session(graph=graph, config=threads)
        self._call = GraphCall(
            self._session,
            self.inputs,
            list(self.outputs),
            feeds=[f"input_{number}:0" for number in range(len(self.inputs))],
            fetches=[f"output_{number}:0" for number in range(len(self.outputs))],
            weights=[f"weight_{number}:0" for number in range(len(self._weights))],
            graph=lambda: pure_graph.graph,
        )

    def accepts(self, weights: Sequence[np.ndarray]) -> bool:
        """Tell whether these can be the weights of a model of this architecture."""
        return len(weights) == len(self._weights) and all(
            weight.dtype == wanted.dtype.as_numpy_dtype and wanted.shape.is_compatible_with(weight.shape)
            for wanted, weight in zip(self._weights, weights, strict=True)
        )

    def call(self, inputs: Arrays, weights: Sequence[np.ndarray]) -> Arrays:
        """Return the outputs by name, as ``GraphCall`` does; the weights are in the order of the pure graph's."""
        return self._call(inputs, weights)

    def close(self) -> None:
        """Release the graph; nothing may call it any more."""
        self._session.close()
        self._session = None
        del self._call
        memory.return_circles()


@dataclass
class _Entry:
    models: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    architecture: Architecture | None = None


class Architectures:
    """The architectures of all models that are loaded, by key; each goes with the last model of it."""

    def __init__(self) -> None:
        """Create an empty set."""
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        """Tell whether there is one of this key, or it is being built."""
        return key in self._entries

    def take(self, key: str, build: Callable[[], Architecture]) -> Architecture:
        """Return an architecture for one more model, which gives it back with ``release``; if need be, build it."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.models += 1
        try:
            with entry.lock:  # while one is built, models of other architectures are loaded
                entry.architecture = entry.architecture or build()
                return entry.architecture
        except BaseException:
            self.release(key)
            raise

    def release(self, key: str) -> None:
        """Give an architecture back."""
        with self._lock:
            entry = self._entries[key]
            entry.models -= 1
            if entry.models:
                return
            del self._entries[key]
        if entry.architecture:
            entry.architecture.close()

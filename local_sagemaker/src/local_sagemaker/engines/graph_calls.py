"""Calls of a graph in a session of TensorFlow 1, whose callable has the least around the computation.

Arrays in, arrays out, no tensor objects, no lookup of a compiled function. A session does not compare the shapes of its
inputs with those that the graph was written for, nor does TensorFlow Serving: the graph decides. Where they differ,
TensorFlow's shape inference is asked first, so that nothing reaches a kernel that was not made for it.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.grappler import tf_optimizer

from local_sagemaker.engines.graph_nodes import split_reference
from local_sagemaker.engines.signatures import Arrays

# Where in the graph a call failed; its numbers mean nothing to anyone else.
_NODES = re.compile(r"{{function_node [^}]*}} |\n\t \[\[[^\n]*\]\]|\n\d+ (?:successful|derived).*", re.DOTALL)
_REASON = re.compile(r"(.*?) for '\{\{node", re.DOTALL)
# All operations of a call start in the thread that makes it. Handing each to another costs more than small models take,
# and the others are few, and common to all models: one that works for long would keep the rest waiting.
_CALLERS_THREAD = -1
_REMEMBERED = 64  # combinations of shapes


class GraphCall:
    """A part of a graph that is called. Threads may call it at the same time."""

    def __init__(
        self,
        session: tf.compat.v1.Session,
        inputs: Mapping[str, tf.TensorSpec],
        outputs: Sequence[str],
        *,
        feeds: Sequence[str],
        fetches: Sequence[str],
        weights: Sequence[str] = (),
        graph: Callable[[], graph_pb2.GraphDef],
    ) -> None:
        """Describe a call by the tensors that are fed and fetched; the shape inference asks for the graph."""
        options = config_pb2.CallableOptions()
        options.feed.extend([*feeds, *weights])
        options.fetch.extend(fetches)
        options.run_options.inter_op_thread_pool = _CALLERS_THREAD
        self._call = session._make_callable_from_options(options)  # the only way to one; Keras takes it, too
        self._inputs = inputs
        self._outputs = outputs
        self._refusal = functools.lru_cache(_REMEMBERED)(functools.partial(_refusal, graph, inputs, feeds, fetches))

    def __call__(self, inputs: Arrays, weights: Sequence[np.ndarray] = ()) -> Arrays:
        """Return the outputs by name.

        Raises:
            tf.errors.OpError: If the graph fails, or does not take inputs of these shapes.
        """
        arrays = [inputs[name] for name in self._inputs]
        if refusal := self._refusal(tuple(array.shape for array in arrays)):
            raise tf.errors.InvalidArgumentError(None, None, refusal)
        try:
            outputs = self._call(*arrays, *weights)
        except tf.errors.OpError as error:
            raise type(error)(None, None, _NODES.sub("", error.message)) from None
        except UnicodeDecodeError as error:  # TensorFlow's message quotes bytes of the request, and has lost its code
            message = bytes(error.object).decode("utf-8", "replace")
            raise tf.errors.InvalidArgumentError(None, None, _NODES.sub("", message)) from None
        return {name: _as_array(value) for name, value in zip(self._outputs, outputs, strict=True)}


def _as_array(value: np.ndarray | np.generic | bytes) -> np.ndarray:
    """Return what TensorFlow gave as an array; it gives no array for a single value."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _refusal(
    graph: Callable[[], graph_pb2.GraphDef],
    inputs: Mapping[str, tf.TensorSpec],
    feeds: Sequence[str],
    fetches: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> str:
    """Return why the graph takes no inputs of these shapes; empty if it does, as far as shapes tell."""
    if all(wanted.shape.is_compatible_with(shape) for wanted, shape in zip(inputs.values(), shapes, strict=True)):
        return ""
    flat = _inlined(graph(), fetches)
    with tf.Graph().as_default():
        placeholders = {
            feed: tf.compat.v1.placeholder(specification.dtype, shape)
            for feed, specification, shape in zip(feeds, inputs.values(), shapes, strict=True)
        }
        try:
            tf.import_graph_def(flat, placeholders, name="")
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            reason = _REASON.match(str(error))
            given = ", ".join(f"{name} has shape {list(shape)}" for name, shape in zip(inputs, shapes, strict=True))
            return f"{given}, which the model does not take: {(reason[1] if reason else str(error)).rstrip('.')}."
    return ""


def _inlined(graph: graph_pb2.GraphDef, fetches: Sequence[str]) -> graph_pb2.GraphDef:
    """Return what the tensors need, with the bodies of functions in the place of their calls: they hide shapes."""
    part = tf.compat.v1.graph_util.extract_sub_graph(graph, [split_reference(fetch)[0] for fetch in fetches])
    for nodes in (part.node, *(function.node_def for function in part.library.function)):
        for node in nodes:
            node.attr.pop("_output_shapes", None)
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(part, name="")
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=imported)
    meta_graph.collection_def["train_op"].node_list.value.extend(fetches)
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # whatever the size
    rewriting.optimizers.append("function")
    return tf_optimizer.OptimizeGraph(config, meta_graph)

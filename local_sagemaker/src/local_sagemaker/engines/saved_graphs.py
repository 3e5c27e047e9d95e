"""The graph of a SavedModel, as ``saved_model.pb`` tells it, without a graph of TensorFlow's being built.

Many models of one training script have this file byte for byte in common; what was read from it last is remembered.
"""

import functools
from functools import cached_property

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from local_sagemaker.engines.graph_nodes import control_inputs, data_inputs, split_reference
from local_sagemaker.engines.pure_bodies import ImpureGraphError
from local_sagemaker.engines.pure_graphs import PureGraph, purify
from local_sagemaker.settings import MEBIBYTE

_TAGS = {"serve"}
_INITIALIZER = "__saved_model_init_op"
NO_SIGNATURES = {_INITIALIZER, "__saved_model_train_op"}
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op")  # collections of TensorFlow 1
# How many graphs are remembered, and up to which size: larger ones hold their weights as constants.
_REMEMBERED, _LARGEST_REMEMBERED = 8, 2 * MEBIBYTE
# What a graph takes that a session makes, to a third, as measured with TensorFlow 2.21 for eight models of
# 50 to 400 nodes: so much for each node, and for each byte of saved_model.pb, of whose constants there are many copies.
_BYTES_PER_NODE = 16 * 1024
_COPIES_OF_CONSTANTS = 9


class SavedGraph:
    """What ``saved_model.pb`` says; what is asked is read once."""

    def __init__(self, text: bytes) -> None:
        """Describe a graph; nothing is read yet."""
        self._text = text

    @cached_property
    def pure_graphs(self) -> dict[str, PureGraph]:
        """The pure graph of every signature; an ``ImpureGraphError`` if one has none, or the model is initialized."""
        if not _is_free_of_initialization(self._meta_graph):
            raise ImpureGraphError("The model has an initialization of its own.")
        names = sorted(self._meta_graph.signature_def.keys() - NO_SIGNATURES)
        return {name: purify(self._meta_graph, name) for name in names}

    @cached_property
    def nodes(self) -> dict[str, node_def_pb2.NodeDef]:
        """The nodes by name."""
        return {node.name: node for node in self._meta_graph.graph_def.node}

    @cached_property
    def checkpoint_keys(self) -> dict[str, str]:
        """The checkpoint's key by name of the variable's node; only of variables that are restored as one piece."""
        restore = self.nodes.get(split_reference(self._meta_graph.saver_def.restore_op_name)[0])
        if restore is None or "f" not in restore.attr:  # a model of TensorFlow 1
            return {}
        function = _function(self._meta_graph.graph_def, restore.attr["f"].func.name)
        variables = {
            argument.name: split_reference(reference)[0]
            for argument, reference in zip(function.signature.input_arg, data_inputs(restore), strict=True)
        }
        return {variables[argument]: key for argument, key in _restored(function).items() if argument in variables}

    @cached_property
    def own_bytes(self) -> int:
        """About how much memory the graph takes if it is not shared, in bytes, without its variables."""
        graphs = [meta_graph.graph_def for meta_graph in self._document.meta_graphs]
        nodes = sum(len(graph.node) + sum(len(body.node_def) for body in graph.library.function) for graph in graphs)
        return nodes * _BYTES_PER_NODE + len(self._text) * _COPIES_OF_CONSTANTS

    @cached_property
    def _document(self) -> saved_model_pb2.SavedModel:
        return saved_model_pb2.SavedModel.FromString(self._text)

    @cached_property
    def _meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        for meta_graph in self._document.meta_graphs:
            if set(meta_graph.meta_info_def.tags) == _TAGS:
                return meta_graph
        raise ImpureGraphError("The model has no graph with the tag 'serve' alone.")


def saved_graph(text: bytes) -> SavedGraph:
    """Return the graph in the bytes of a ``saved_model.pb``, which may have been read before."""
    return _remembered(text) if len(text) <= _LARGEST_REMEMBERED else SavedGraph(text)


_remembered = functools.lru_cache(_REMEMBERED)(SavedGraph)


def _function(graph: graph_pb2.GraphDef, name: str) -> function_pb2.FunctionDef:
    return next(function for function in graph.library.function if function.signature.name == name)


def _restored(function: function_pb2.FunctionDef) -> dict[str, str]:
    """Return what the restore function assigns to its arguments: ``argument = Identity(RestoreV2[k])``."""
    nodes = {node.name: node for node in function.node_def}

    def strings(reference: str) -> list[bytes]:
        values: list[bytes] = tf.make_ndarray(nodes[split_reference(reference)[0]].attr["value"].tensor).tolist()
        return values

    keys = {}
    for assignment in (node for node in function.node_def if node.op == "AssignVariableOp"):
        argument, reference = data_inputs(assignment)
        while nodes[split_reference(reference)[0]].op == "Identity":
            (reference,) = data_inputs(nodes[split_reference(reference)[0]])
        name, output = split_reference(reference)
        if nodes[name].op != "RestoreV2":
            continue
        _, tensor_names, slices = data_inputs(nodes[name])
        index = int(output.rsplit(":", 1)[-1])
        if not strings(slices)[index]:
            keys[argument] = strings(tensor_names)[index].decode()
    return keys


def _is_free_of_initialization(meta_graph: meta_graph_pb2.MetaGraphDef) -> bool:
    """Tell whether restoring the variables is all that loading the model needs."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    collections = [meta_graph.collection_def[key] for key in _INITIALIZERS if key in meta_graph.collection_def]
    names = [name for collection in collections for name in collection.node_list.value]
    if _INITIALIZER in meta_graph.signature_def:
        names += [tensor.name for tensor in meta_graph.signature_def[_INITIALIZER].outputs.values()]
    initializers = [nodes[split_reference(name)[0]] for name in names if name]
    return all(node.op == "NoOp" and not control_inputs(node) for node in initializers)

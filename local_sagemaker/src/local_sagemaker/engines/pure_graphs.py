"""A signature of a SavedModel as a pure graph: what it computes, from its inputs and its weights alone.

A SavedModel's graph reads each weight through a handle of its variable. Here every handle is replaced by the value
itself, down through the bodies of functions, loops and branches: ``ReadVariableOp`` becomes ``Identity``, and the
value enters as a placeholder. So do constants that a function captured, such as class names. Nodes and functions are
numbered in the order in which the outputs need them, so names of layers do not matter, and nothing that the outputs do
not need is left. What remains is op types, attributes, wiring, bodies and small constants.

Two models are of one architecture if their pure graphs are equal byte for byte. The graph is also what is executed, so
nothing that determines a result can be missing from the comparison, and a weight is known by its place in the graph,
never by its name or value. All this is work on the protobuf; no ``tf.Graph`` is built.

A graph that is not pure is refused: tables and other resources, variables that are written, random numbers, Python
functions, control flow of TensorFlow 1, anything not listed here that touches a variable or calls a function.
"""

import hashlib
import math
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from local_sagemaker.engines.graph_nodes import CycleError, in_order, placeholder, shorten
from local_sagemaker.engines.pure_bodies import Body, Functions, ImpureGraphError, Type

# Constants above these sizes are fed. Below, they may decide shapes, which the optimizer wants to know.
_SMALL_CONSTANT_BYTES = 1024
_MOST_FED_STRINGS = 4096  # each is converted at each call


@dataclass(frozen=True)
class Weight:
    """A value that differs from model to model."""

    node: str  # name of the variable's or constant's node in the SavedModel's graph
    is_constant: bool  # whether it is a constant of that graph; else it is a variable


@dataclass(frozen=True)
class PureGraph:
    """A signature's computation."""

    key: str  # digest of all that follows but the weights' own names
    graph: graph_pb2.GraphDef  # placeholders `input_0` …, `weight_0` …, and identities `output_0` …
    inputs: dict[str, tf.TensorSpec]  # name, dtype and shape of each input, in order
    outputs: dict[str, tf.TensorSpec]  # name, dtype and shape of each output, in order
    weights: list[Weight]  # the model's own name for each weight, in order


def purify(meta_graph: meta_graph_pb2.MetaGraphDef, signature_name: str) -> PureGraph:
    """Write a signature as a pure graph; an ``ImpureGraphError`` tells why that cannot be."""
    signature = meta_graph.signature_def[signature_name]
    if signature.defaults:
        raise ImpureGraphError("An input has a default value.")
    inputs = {name: _specification(name, signature.inputs[name]) for name in sorted(signature.inputs)}
    outputs = {name: _specification(name, signature.outputs[name]) for name in sorted(signature.outputs)}
    writer = _Writer(meta_graph.graph_def)
    try:
        for number, (name, specification) in enumerate(inputs.items()):
            writer.add_input(f"input_{number}", signature.inputs[name].name, specification)
        writer.add_outputs([signature.outputs[name] for name in outputs])
    except CycleError as error:
        raise ImpureGraphError(str(error)) from error
    writer.graph.versions.CopyFrom(meta_graph.graph_def.versions)
    return PureGraph(_key(writer.graph, inputs, outputs), writer.graph, inputs, outputs, writer.weights)


def _key(graph: graph_pb2.GraphDef, *ends: dict[str, tf.TensorSpec]) -> str:
    written = graph.SerializeToString(deterministic=True)
    forms = [[(name, *_form(specification)) for name, specification in end.items()] for end in ends]
    return hashlib.blake2b(repr((written, forms)).encode(), digest_size=24).hexdigest()


def _specification(name: str, info: meta_graph_pb2.TensorInfo) -> tf.TensorSpec:
    if info.WhichOneof("encoding") != "name":
        raise ImpureGraphError(f"{name!r} is no dense tensor.")
    dtype = tf.as_dtype(info.dtype)
    if dtype in (tf.resource, tf.variant) or dtype._is_ref_dtype:
        raise ImpureGraphError(f"{name!r} is of type {dtype.name}.")
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), dtype, name)


def _form(specification: tf.TensorSpec) -> tuple[str, list[int | None] | None]:
    shape = specification.shape
    return specification.dtype.name, None if shape.rank is None else shape.as_list()


class _Writer:
    """Writes the pure graph of one signature."""

    def __init__(self, source: graph_pb2.GraphDef) -> None:
        self.graph = graph_pb2.GraphDef()
        self.weights: list[Weight] = []
        self._nodes = {node.name: node for node in source.node}
        self._body = Body(Functions(source.library))

    def add_input(self, name: str, tensor: str, specification: tf.TensorSpec) -> None:
        """Replace a tensor of the graph by a placeholder."""
        tensor = shorten(tensor)
        if tensor in self._body.references:
            raise ImpureGraphError("Two inputs are one tensor.")
        shape = attr_value_pb2.AttrValue(shape=specification.shape.as_proto())
        self._body.nodes.append(placeholder(name, specification.dtype.as_datatype_enum, shape))
        self._body.references[tensor] = name

    def add_outputs(self, tensors: list[meta_graph_pb2.TensorInfo]) -> None:
        """Write all that these tensors need, and complete the graph."""
        references = [shorten(tensor.name) for tensor in tensors]
        for node in in_order(self._nodes, references, known=self._body.references):
            self._add_top_node(node)
        for number, (tensor, reference) in enumerate(zip(tensors, references, strict=True)):
            output = node_def_pb2.NodeDef(op="Identity", name=f"output_{number}", input=[self._body.read(reference)])
            output.attr["T"].type = tensor.dtype
            self._body.nodes.append(output)
        self.graph.node.extend(self._body.nodes)
        self.graph.library.function.extend(self._body.functions.written)

    def _add_top_node(self, node: node_def_pb2.NodeDef) -> None:
        if node.op == "VarHandleOp":
            if node.attr["dtype"].type == types_pb2.DT_STRING:
                raise ImpureGraphError("A variable holds strings.")
            self._add_weight(Weight(node.name, False), node.attr["dtype"].type, node.attr["shape"])
            self._body.held[node.name] = node.attr["dtype"].type
        elif node.op == "Const" and _is_fed(node):
            shape = attr_value_pb2.AttrValue(shape=node.attr["value"].tensor.tensor_shape)
            self._add_weight(Weight(node.name, True), node.attr["dtype"].type, shape)
        else:
            self._body.add(node)

    def _add_weight(self, weight: Weight, dtype: Type, shape: attr_value_pb2.AttrValue) -> None:
        name = f"weight_{len(self.weights)}"
        self._body.nodes.append(placeholder(name, dtype, shape))
        self._body.names[weight.node] = name
        self.weights.append(weight)


def _is_fed(node: node_def_pb2.NodeDef) -> bool:
    """Tell whether a constant of the graph is fed like a variable."""
    tensor = node.attr["value"].tensor
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.dtype == types_pb2.DT_STRING:
        return bool(shape) and math.prod(shape) <= _MOST_FED_STRINGS
    return bool(math.prod(shape) * tf.as_dtype(tensor.dtype).size > _SMALL_CONSTANT_BYTES)

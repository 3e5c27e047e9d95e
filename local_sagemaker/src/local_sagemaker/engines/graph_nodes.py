"""Nodes of a graph or of a function as protobuf: references between them, and an order that does not need names."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from tensorflow.core.framework import attr_value_pb2, node_def_pb2, types_pb2


class CycleError(ValueError):
    """Nodes need each other in a circle, as loops of TensorFlow 1 do."""


def split_reference(reference: str) -> tuple[str, str]:
    """Split a reference to a tensor into the node's name and the rest: empty, ``:1``, in a function ``:output:0``."""
    name, colon, output = reference.partition(":")
    return name, colon + output


def data_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """Return the references to the tensors that a node takes, each in its shortest form."""
    return [shorten(reference) for reference in node.input if not reference.startswith("^")]


def control_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """Return the names of the nodes that must have run before."""
    return [split_reference(reference[1:])[0] for reference in node.input if reference.startswith("^")]


def shorten(reference: str) -> str:
    """Return a reference without the ``:0`` of a node's first output, which a graph may leave out."""
    return reference.removesuffix(":0") if reference.count(":") == 1 else reference


def called_functions(value: attr_value_pb2.AttrValue) -> Sequence[attr_value_pb2.NameAttrList]:
    """Return the functions that an attribute names."""
    if value.HasField("func"):
        return [value.func]
    return value.list.func if value.HasField("list") else []


def placeholder(name: str, dtype: types_pb2.DataType, shape: attr_value_pb2.AttrValue) -> node_def_pb2.NodeDef:
    """Return a node that is fed."""
    node = node_def_pb2.NodeDef(op="Placeholder", name=name)
    node.attr["dtype"].type = dtype
    node.attr["shape"].CopyFrom(shape)
    return node


def in_order(
    nodes: Mapping[str, node_def_pb2.NodeDef], wanted: Iterable[str], *, known: Container[str]
) -> Iterable[node_def_pb2.NodeDef]:
    """Yield the nodes that some tensors need, each after those that it needs itself, in an order of the wiring alone.

    A wanted reference is that of a tensor, or ``^name`` of a node; a known one needs no node.

    Raises:
        CycleError: If there is no such order.
    """
    finished: set[str] = set()
    open_nodes: dict[str, Iterator[str]] = {}

    def need(reference: str) -> None:
        reference = shorten(reference.removeprefix("^"))
        name, _ = split_reference(reference)
        if reference in known or name in finished:
            return
        if name in open_nodes:
            raise CycleError(f"The node {name} needs itself.")
        if name not in nodes:
            raise CycleError(f"There is no node {name}.")
        open_nodes[name] = iter(nodes[name].input)

    for reference in wanted:
        need(reference)
        while open_nodes:
            name = next(reversed(open_nodes))
            following = next(open_nodes[name], None)
            if following is not None:
                need(following)
                continue
            del open_nodes[name]
            finished.add(name)
            yield nodes[name]

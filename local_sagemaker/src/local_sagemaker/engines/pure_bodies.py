"""Bodies of pure graphs: the nodes of a graph or of a function, rewritten so that variables are values.

A reference to a variable's handle is *held*: it stands for the value from here on, through calls, loops and branches,
whose functions are written once more for every choice of arguments that are held. See ``pure_graphs`` for the purpose.
"""

from dataclasses import dataclass, field

from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

from local_sagemaker.engines.graph_nodes import (
    called_functions,
    control_inputs,
    data_inputs,
    in_order,
    shorten,
    split_reference,
)

Type = int  # a number of TensorFlow's enumeration DataType
Types = tuple[Type | None, ...]  # per argument or output: the type of the variable that it stands for, or None

# Say where a node came from, or how a runtime that is not used here shall run it.
_IRRELEVANT = {
    "_class",
    "_collective_manager_ids",
    "_construction_context",
    "_gradient_op_type",
    "_has_manual_control_dependencies",
    "_input_shapes",
    "_num_original_outputs",
    "_original_func_name",
    "_output_shapes",
    "_read_only_resource_inputs",
    "_user_specified_name",
    "config",
    "config_proto",
    "executor_type",
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_LOOPS = {"While", "StatelessWhile"}
_BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase"}
_HARMLESS_STATEFUL = {"Assert", "PrintV2"} | _CALLS | _LOOPS | _BRANCHES
_REFUSED = {"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "Placeholder", "PlaceholderV2"}
# Reads of a variable: what each is of the value, its attributes by those of the read, and its output's name.
_READS = {
    "ReadVariableOp": ("Identity", {"T": "dtype"}, ("value", "output")),
    "ResourceGather": ("Gather", {"Tparams": "dtype", "Tindices": "Tindices"}, ("output", "output")),
    "ResourceGatherNd": ("GatherNd", {"Tparams": "dtype", "Tindices": "Tindices"}, ("output", "output")),
    "VariableShape": ("Shape", {"out_type": "out_type"}, ("output", "output")),
}


class ImpureGraphError(ValueError):
    """The signature cannot be written as a pure graph; the message tells why."""


@dataclass
class Body:
    """Nodes as they are written, and how the references to them read."""

    functions: "Functions"  # of the graph
    nodes: list[node_def_pb2.NodeDef] = field(default_factory=list)  # in order
    names: dict[str, str] = field(default_factory=dict)  # of the nodes, by those in the source
    references: dict[str, str] = field(default_factory=dict)  # of arguments, and of outputs with another name
    held: dict[str, Type] = field(default_factory=dict)  # type of the variable for each reference that stands for one
    inside_function: bool = False  # whether these are a function's nodes, not the graph's

    def read(self, reference: str) -> str:
        """Return how a reference to a tensor reads here."""
        if reference in self.references:
            return self.references[reference]
        name, output = split_reference(reference)
        return self.names[name] + output

    def output(self, name: str, index: int) -> str:
        """Return the reference to an output of a node whose only output, or list of outputs, is called ``output``."""
        return f"{name}:output:{index}" if self.inside_function else shorten(f"{name}:{index}")

    def add(self, node: node_def_pb2.NodeDef) -> None:
        """Write a node, with values in the place of handles."""
        written = node_def_pb2.NodeDef(op=node.op, name=f"n{len(self.names)}")
        data = data_inputs(node)
        held = tuple(self.held.get(reference) for reference in data)
        for name in node.attr:
            if name not in _IRRELEVANT:
                written.attr[name].CopyFrom(node.attr[name])
        _check(node, any(held))
        self.names[node.name] = written.name
        if node.op in _CALLS | _LOOPS | _BRANCHES:
            self._add_call(node, written, held)
        elif any(held):
            self._add_read(node, written, held)
        written.input.extend(self.read(reference) for reference in data)
        written.input.extend(f"^{self.names.get(name) or self.references[name]}" for name in control_inputs(node))
        self.nodes.append(written)

    def _add_call(self, node: node_def_pb2.NodeDef, written: node_def_pb2.NodeDef, held: Types) -> None:
        """Write a call, a loop or a branch, and the functions that it calls."""
        passed = held if node.op in _CALLS | _LOOPS else held[1:]
        results = set()
        for name in sorted(written.attr):
            for call in called_functions(written.attr[name]):
                call.name, result = self.functions.write(call.name, passed)
                call.ClearField("attr")
                if name != "cond":
                    results.add(result)
        if node.op in _LOOPS:
            results.add(held)
        if len(results) != 1:
            raise ImpureGraphError(f"A variable changes its place in the op {node.op}.")
        (result,) = results
        for name, types in {"T": held, "Tin": passed, "Tout": result}.items():
            if name in written.attr:
                listed = written.attr[name].list.type
                listed[:] = [kind or listed[index] for index, kind in enumerate(types)]
        if "output_shapes" in written.attr:
            written.attr["output_shapes"].list.ClearField("shape")  # they are the handles', not the values'
        for index, kind in enumerate(result):
            if kind:
                self.held[self.output(node.name, index)] = kind

    def _add_read(self, node: node_def_pb2.NodeDef, written: node_def_pb2.NodeDef, held: Types) -> None:
        """Turn the read of a variable into what it is of the value."""
        kind = held[0]
        if any(held[1:]) or kind is None:
            raise ImpureGraphError(f"The op {node.op} takes a variable.")
        if node.op == "Identity":
            written.attr["T"].type = kind
            self.held[self.output(node.name, 0)] = kind
            return
        if node.op not in _READS or ("batch_dims" in node.attr and node.attr["batch_dims"].i):
            raise ImpureGraphError(f"The op {node.op} takes a variable.")
        if "dtype" in node.attr and node.attr["dtype"].type != kind:
            raise ImpureGraphError("A variable is read as another type.")
        written.op, attributes, (old, new) = _READS[node.op]
        written.ClearField("attr")
        for target, source in attributes.items():
            if source in node.attr:
                written.attr[target].CopyFrom(node.attr[source])
        if node.op == "VariableShape":
            written.attr["T"].type = kind
        if self.inside_function and old != new:
            self.references[f"{node.name}:{old}:0"] = f"{written.name}:{new}:0"


class Functions:
    """The functions of a pure graph, written when a node first calls them."""

    def __init__(self, source: function_pb2.FunctionDefLibrary) -> None:
        """Write functions of a library."""
        self.written: list[function_pb2.FunctionDef] = []
        self._source = {function.signature.name: function for function in source.function}
        self._known: dict[tuple[str, Types], tuple[str, Types]] = {}

    def write(self, name: str, held: Types) -> tuple[str, Types]:
        """Write a function whose arguments are values where ``held`` says so; return its name and what it returns."""
        if (name, held) not in self._known:
            source = self._source.get(name)
            if source is None:
                raise ImpureGraphError(f"There is no function {name}.")
            if "_XlaMustCompile" in source.attr and source.attr["_XlaMustCompile"].b:
                raise ImpureGraphError("A function is compiled by XLA.")
            function = function_pb2.FunctionDef()
            result = self._write(source, function, held)
            function.signature.name = f"f{len(self.written)}"
            self.written.append(function)
            self._known[name, held] = function.signature.name, result
        return self._known[name, held]

    def _write(self, source: function_pb2.FunctionDef, target: function_pb2.FunctionDef, held: Types) -> Types:
        body = Body(self, inside_function=True)
        target.signature.is_stateful = source.signature.is_stateful
        for index, (argument, kind) in enumerate(zip(source.signature.input_arg, held, strict=True)):
            if argument.type_attr or argument.type_list_attr or argument.number_attr:
                raise ImpureGraphError(f"The function {source.signature.name} has no fixed types.")
            target.signature.input_arg.add(name=f"a{index}", type=kind or argument.type)
            body.references[argument.name] = f"a{index}"
            if kind:
                body.held[argument.name] = kind
        for name in source.attr:
            if name not in _IRRELEVANT and name.startswith("_"):
                target.attr[name].CopyFrom(source.attr[name])
        returned = [source.ret[output.name] for output in source.signature.output_arg]
        controls = [source.control_ret[name] for name in source.signature.control_output]
        nodes = {node.name: node for node in source.node_def}
        for node in in_order(nodes, [*returned, *(f"^{name}" for name in controls)], known=body.references):
            body.add(node)
        result = tuple(body.held.get(reference) for reference in returned)
        for index, (output, kind) in enumerate(zip(source.signature.output_arg, result, strict=True)):
            target.signature.output_arg.add(name=f"r{index}", type=kind or output.type)
            target.ret[f"r{index}"] = body.read(returned[index])
        for index, name in enumerate(controls):
            target.signature.control_output.append(f"c{index}")
            target.control_ret[f"c{index}"] = body.names[name]
        target.node_def.extend(body.nodes)
        return result


def _check(node: node_def_pb2.NodeDef, is_held: bool) -> None:
    """Refuse a node whose outputs depend on more than its inputs, or that is not known here."""
    definition = op_def_registry.get(node.op)
    if definition is None or node.op in _REFUSED:
        raise ImpureGraphError(f"The op {node.op} is not supported.")
    if definition.is_stateful and node.op not in _HARMLESS_STATEFUL and not (is_held and node.op in _READS):
        raise ImpureGraphError(f"The op {node.op} has a state or an effect.")
    if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
        raise ImpureGraphError("A function is compiled by XLA.")
    if node.op not in _CALLS | _LOOPS | _BRANCHES and any(called_functions(value) for value in node.attr.values()):
        raise ImpureGraphError(f"The op {node.op} calls a function.")

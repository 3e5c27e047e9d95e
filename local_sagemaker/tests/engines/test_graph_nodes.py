import pytest


def order(*wanted, known=(), **inputs):
    from tensorflow.core.framework import node_def_pb2

    from local_sagemaker.engines.graph_nodes import in_order

    nodes = {name: node_def_pb2.NodeDef(name=name, input=references) for name, references in inputs.items()}
    return [node.name for node in in_order(nodes, wanted, known=known)]


def test_a_node_comes_after_those_that_it_needs_and_only_what_is_needed_comes():
    assert order("d:1", a=[], b=["a", "^c"], c=["a:2"], d=["b:output:0", "a"], e=["d"]) == ["a", "c", "b", "d"]


def test_what_is_known_needs_no_node():
    assert order("b", "x", known={"x"}, a=["x:0"], b=["a", "x"]) == ["a", "b"]


def test_a_long_chain_needs_no_deep_stack():
    chain = {f"n{number}": [f"n{number - 1}"] if number else [] for number in range(20_000)}
    assert len(order("n19999", **chain)) == 20_000


def test_a_circle_and_a_missing_node_are_errors():
    from local_sagemaker.engines.graph_nodes import CycleError

    with pytest.raises(CycleError, match="needs itself"):
        order("a", a=["b"], b=["a"])
    with pytest.raises(CycleError, match="no node b"):
        order("a", a=["b"])

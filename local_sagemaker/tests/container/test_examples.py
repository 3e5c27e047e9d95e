"""Models like those of TensorFlow Serving's documentation and tests, and what is documented that they answer."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    script = Path(__file__).parents[1] / "saved_models" / "serving.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def container(start_container, saved):
    client = start_container()
    for name in ("cpu", "text", "versions", "counter"):
        assert client.load(name, saved / name)[0] == 200
    return client


@pytest.fixture(scope="module")
def ask(container):
    """Ask ``cpu`` for a method, by custom attributes as AWS's container passes them."""

    def ask(method, signature=None, **request):
        named = {"signature_name": signature} if signature else {}
        status, answer = container.invoke("cpu", named | request, **{ATTRIBUTES: f"tfs-method={method}"})
        return (status, answer["results"]) if status == 200 else (status, answer["description"])

    return ask


@pytest.mark.parametrize("model", ["cpu", "text", "versions"])
@pytest.mark.parametrize("signature", [{}, {"signature_name": "no_method"}])
def test_half_plus_two(container, model, signature):
    chosen = {ATTRIBUTES: "tfs-model-version=123"}
    rows = container.invoke(model, {"instances": [1.0, 2.0, 5.0]} | signature, **chosen)
    assert rows == (200, {"predictions": [2.5, 3.0, 4.5]})
    columns = container.invoke(model, {"inputs": {"x": [[1.0], [2.0]]}} | signature, **chosen)
    assert columns == (200, {"outputs": [[2.5], [3.0]]})


def test_the_higher_of_two_versions_is_half_plus_three(container):
    assert container.invoke("versions", {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [3.5, 4.0, 5.5]})


def test_a_model_for_a_gpu_is_not_loaded_where_there_is_none(container, saved):
    status, answer = container.load("gpu", saved / "gpu")
    assert status == 500
    assert "Cannot assign a device for operation" in answer["error"]


def test_the_counter_counts_for_signatures_that_have_an_input(container):
    for delta, count in ((3, 3.0), (0.5, 3.5)):
        request = {"signature_name": "incr_counter_by", "inputs": delta}
        assert container.invoke("counter", request) == (200, {"outputs": count})
    for name in ("get_counter", "incr_counter", "reset_counter"):
        status, answer = container.invoke("counter", {"signature_name": name, "inputs": {}})
        assert (status, f"Failed to get input map for signature: {name}" in answer["description"]) == (400, True)


@pytest.mark.parametrize(
    ("signature", "examples", "values"),
    [
        ("regress_x_to_y", [{"x": 1.0}, {"x": [2.0]}, {"x": 5.0, "x2": 7.0}], [2.5, 3.0, 4.5]),
        ("regress_x_to_y2", [{"x": 0.1}], [3.05]),
        ("regress_x_to_y", [{"x": 1e39}, {"x": 1.5, "y": "é", "z": {"b64": "/w=="}, "w": [True, 3]}], ["inf", 2.75]),
    ],
)
def test_regress(ask, signature, examples, values):
    assert ask("regress", signature, examples=examples) == (200, [float(value) for value in values])


def test_classify(ask):
    examples = [{"x": 1.0}, {"x": 5.0}]
    assert ask("classify", "classify_x_to_y", examples=examples) == (200, [[["", 2.5]], [["", 4.5]]])
    both = [[["cat", 2.5], ["dog", 3.5]], [["cat", 4.5], ["dog", 5.5]]]
    assert ask("classify", "classify_all", examples=examples) == (200, both)


def test_all_examples_have_the_features_of_the_context(ask):
    request = {"context": {"x": 9.0, "x2": 1.0}, "examples": [{"x": 1.0}, {}]}
    assert ask("regress", "regress_x_to_y", **request) == (200, [2.5, 6.5])


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("regress", {"signature_name": "regress_x_to_y"}, "key 'examples' is expected and was not found"),
        ("regress", {"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ("regress", {"examples": []}, "'examples' value is an empty array"),
        ("regress", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ("regress", {"examples": [{}], "context": [1]}, "Example must be JSON object but got JSON Array"),
        ("regress", {"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ("regress", {"examples": [{"x": {"a": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ("regress", {"examples": [{"x": [1.0, 1]}]}, "Unexpected element type in feature: x expecting type: float"),
        ("regress", {"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
        ("regress", {"examples": [{"x": {"b64": "A"}}]}, "Unable to base64 decode"),
        ("regress", {"examples": [{"x": 1.0}], "signature_name": "no"}, "No signature was found with the name: no"),
        ("regress", {"examples": [{"x": 1.0}]}, "No regression inputs found in SignatureDef"),
        ("classify", {"examples": [{"x": 1.0}]}, "No classification inputs found in SignatureDef"),
        ("classify", {"examples": [{}], "signature_name": "regress_x_to_y"}, "at least one of"),
        ("regress", {"examples": [{}], "signature_name": "classify_all"}, "Expected one output Tensor."),
        ("regress", {"examples": [{}], "signature_name": "regress_x2_to_y3"}, "Expects arg[0] to be float but string"),
        (
            "regress",
            {"examples": [{}], "signature_name": "regress_x_to_y"},
            "Feature: x (data type: float)",
        ),
        ("classify", {"examples": [{"x": 1.0}], "signature_name": "classify_vector"}, "but got [1]"),
    ],
)
def test_what_is_refused(ask, method, request_, reason):
    status, answer = ask(method, **request_)
    assert (status, reason in answer) == (400, True), answer


@pytest.mark.parametrize(
    ("version", "body", "status", "reason"),
    [
        ("5", b"{}", 404, "Servable not found for request: Specific(cpu, 5)"),
        ("5", b"{", 400, "JSON Parse error"),
        ("9" * 5000, b"{}", 404, "Servable not found for request: Specific(cpu, 999"),
        ("0" * 5000 + "5", b"{}", 404, "Specific(cpu, 5)"),
    ],
)
def test_versions_that_are_not_there(container, version, body, status, reason):
    headers = {ATTRIBUTES: f"tfs-model-version={version}", "content-type": "application/json"}
    found, answer = container.call("POST", "/models/cpu/invoke", body, **headers)
    assert (found, reason in answer["description"]) == (status, True), answer

"""The page for those who come from SDK v2: its code of version 3 is one program, and this runs it."""

import ast
import importlib
import io
import re
import time
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from helpers import endpoint, s3

PAGE = Path(__file__).parents[2] / "notebooks" / "FROM_SDK_V2.md"
TEXT = PAGE.read_text(encoding="utf-8")
CLIENT = re.compile(r"^```python client\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python (v[23])\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
# What the original post is written in.
OLD_NAMES = {
    *("Session", "get_execution_role", "upload_data", "TensorFlow", "fit", "TensorFlowModel", "MultiDataModel"),
    *("deploy", "add_model", "list_models", "predict", "initial_args", "delete_endpoint", "delete_model"),
}


def blocks(version):
    """The blocks of one version, each after as many blank lines that its line numbers are those of the page."""
    for match in BLOCK.finditer(TEXT):
        if match[1] == version:
            yield "\n" * TEXT.count("\n", 0, match.start(2)) + match[2]


def test_every_old_line_has_a_new_one_beside_it_and_a_reason():
    pairs = [[match[1] for match in BLOCK.finditer(section)] for section in SECTIONS]
    assert [pair for pair in pairs if pair not in ([], ["v2", "v3"])] == []
    assert sum(map(bool, pairs)) >= 8
    assert len(re.findall("^```", TEXT, re.MULTILINE)) == 2 * (len(BLOCK.findall(TEXT)) + 1)  # and the client
    for section in SECTIONS:
        words = BLOCK.sub("", section).split()
        assert len(words) > 20, f"{section.splitlines()[0]} does not say what changed"


def test_the_old_code_is_python_and_has_every_name_of_the_post():
    nodes = [node for block in blocks("v2") for node in ast.walk(ast.parse(block))]
    names = {getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "arg", None) for node in nodes}
    assert names >= OLD_NAMES


def test_a_client_of_ones_own_calls_again_until_the_model_is_loaded(monkeypatch):
    """That boto3's default does not is tested in test_endpoint.py, by a model that loads slowly."""
    [client], waits = CLIENT.findall(TEXT), []
    runtime = boto3.client(
        "sagemaker-runtime", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(time, "sleep", waits.append)
    names = {"runtime": runtime, "name": "vision-models", "model": "cifar.tar.gz", "body": b"{}", "time": time}
    with Stubber(runtime) as answers:
        for _ in range(2):
            answers.add_client_error("invoke_endpoint", "ModelNotReadyException", http_status_code=429)
        answers.add_response("invoke_endpoint", {"Body": io.BytesIO(), "ContentType": "application/json"})
        exec(client, names)
    assert waits == [5, 5] and names["answer"]["ContentType"] == "application/json"


@pytest.mark.parametrize("module", ["sagemaker.tensorflow", "sagemaker.multidatamodel", "sagemaker.estimator"])
def test_the_old_classes_are_not_in_version_3(module):
    with pytest.raises(ModuleNotFoundError):  # once the SDK is imported, its own finder says what to use
        importlib.import_module(module)


@pytest.mark.slow
def test_the_new_code_runs_from_start_to_end(connection):
    seen = {}
    for block in blocks("v3"):
        if "models.delete()" in block:  # the last look before everything goes
            assert endpoint.find(connection, "from-sdk-v2") == "InService"
            assert len(s3.list_names(connection, seen["connection"].base_uri)) > 5
        exec(compile(block, str(PAGE), "exec"), seen)
    assert seen["result"].provenance["hyperparameters"]["epochs"] == 1
    assert seen["names"] == ["cifar-v2.tar.gz", "cifar.tar.gz"]
    assert set(seen["labels"]) <= set(seen["cifar"].class_names) and len(seen["labels"]) == 4
    assert seen["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert endpoint.find(connection, "from-sdk-v2") is None
    assert s3.list_names(connection, seen["connection"].base_uri) == []

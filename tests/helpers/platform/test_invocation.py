"""Bodies, and what is made of answers and errors of the runtime; real calls are made in test_endpoint.py."""

import base64
import io
import json

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from helpers.platform import invocation
from helpers.platform.endpoint_status import EndpointError

BRIGHT = np.full((2, 4, 4, 3), 255, dtype=np.uint8)


@pytest.fixture
def runtime():
    """A client of the runtime whose answers a test gives."""
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.client("sagemaker-runtime", region_name="us-east-1", **keys)
    with Stubber(client) as stub:
        client.stub = stub
        yield client
        stub.assert_no_pending_responses()


def answer(runtime, document):
    body = json.dumps(document).encode()
    runtime.stub.add_response("invoke_endpoint", {"Body": StreamingBody(io.BytesIO(body), len(body))})


def predict(runtime):
    return invocation.predict(runtime, "vision-models", b"{}", target_model="dense.tar.gz")


def test_an_answer_becomes_labels_and_probabilities(runtime):
    answer(runtime, {"predictions": [{"label": "dark", "probabilities": [0.75, 0.25]}]})
    found = predict(runtime)
    assert found.labels == ["dark"]
    assert found.probabilities.tolist() == [[0.75, 0.25]]
    assert found.seconds > 0


def test_a_model_that_is_not_ready_is_waited_for(runtime, monkeypatch):
    waits = []
    monkeypatch.setattr(invocation.time, "sleep", waits.append)
    for _ in range(2):
        runtime.stub.add_client_error("invoke_endpoint", "ModelNotReadyException", http_status_code=429)
    answer(runtime, {"predictions": [{"label": "dark", "probabilities": [1.0]}]})
    assert predict(runtime).labels == ["dark"]
    assert len(waits) == 2


def test_a_model_that_never_gets_ready_is_given_up(runtime, monkeypatch):
    monkeypatch.setattr(invocation, "_LOADING_SECONDS", -1)
    runtime.stub.add_client_error("invoke_endpoint", "ModelNotReadyException", http_status_code=429)
    with pytest.raises(ClientError, match="ModelNotReadyException"):
        predict(runtime)


def test_an_answer_without_label_and_probabilities_is_explained(runtime):
    answer(runtime, {"predictions": [[0.5, 0.5]]})
    with pytest.raises(EndpointError, match="answers without label and probabilities"):
        predict(runtime)


@pytest.mark.parametrize(
    ("said", "words"), [('{"error": "has shape (5, 5)"}', "has shape"), ("gone wrong", "gone wrong")]
)
def test_the_models_own_words_are_passed_on(runtime, said, words):
    more = {"OriginalMessage": said, "OriginalStatusCode": 400}
    runtime.stub.add_client_error("invoke_endpoint", "ModelError", http_status_code=424, modeled_fields=more)
    with pytest.raises(EndpointError, match=f"^dense.tar.gz refused the request: {words}"):
        predict(runtime)


def test_an_unknown_model_is_told_from_other_errors(runtime):
    runtime.stub.add_client_error("invoke_endpoint", "ValidationError", "Failed to download model data")
    with pytest.raises(invocation.UnknownModelError, match=r"vision-models finds no model dense.tar.gz"):
        predict(runtime)
    runtime.stub.add_client_error("invoke_endpoint", "AccessDeniedException", "not authorized")
    with pytest.raises(ClientError, match="not authorized"):
        predict(runtime)


def test_the_body_of_pixels_and_of_files():
    assert json.loads(invocation.request_body(BRIGHT[:1]))["instances"] == BRIGHT[:1].tolist()
    body = json.loads(invocation.request_body([b"\xff\xd8"]))
    assert body["signature_name"] == "serving_bytes"
    assert base64.b64decode(body["instances"][0]["b64"]) == b"\xff\xd8"


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 4, 3)), r"shape \(N, height, width, 3\) with N ≥ 1, not \(4, 4, 3\)"),
        (np.zeros((1, 4, 4, 1)), "not"),
        (np.zeros((0, 4, 4, 3)), "N ≥ 1"),
        ([], "array of pixels, or a sequence"),
        (["file.jpg"], "encoded files as bytes"),
        (np.zeros((4, 400, 400, 3)), "one call may carry 6,291,456. Send fewer images, or send them as JPEG"),
        ([bytes(5 * 1024 * 1024)], "one call may carry"),
    ],
)
def test_images_that_cannot_be_sent_are_refused_before_the_call(images, words):
    with pytest.raises(ValueError, match=words):
        invocation.request_body(images)

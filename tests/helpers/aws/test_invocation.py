"""Bodies, and what is made of answers and errors of the runtime; real calls are made in test_endpoint.py."""

import base64
import io
import json
import re
import warnings

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from PIL import Image

from helpers import images
from helpers.aws import invocation
from helpers.aws.invocation import EndpointError

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


def invoke(runtime):
    return json.loads(invocation.invoke(runtime, "vision-models", b"{}", target_model="dense.tar.gz"))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64", ">f4", ">i4"])
def test_pixels_of_every_dtype_and_order_are_the_same_numbers_in_the_body(dtype):
    pixels = np.arange(96).reshape(1, 4, 8, 3).astype(dtype)[:, :, ::2]
    assert json.loads(invocation.request_body(pixels)) == {"instances": pixels.tolist()}


def test_an_answer_becomes_labels_and_probabilities():
    content = b'{"predictions": [{"label": "dark", "probabilities": [0.75, 0.25]}]}'
    found = invocation.read_answer(content, target_model="dense.tar.gz", seconds=0.5)
    assert found.labels == ["dark"]
    assert found.probabilities.tolist() == [[0.75, 0.25]]
    assert found.seconds == 0.5


def test_a_model_that_is_not_ready_is_waited_for(runtime, monkeypatch):
    waits = []
    monkeypatch.setattr(invocation.time, "sleep", waits.append)
    for _ in range(2):
        runtime.stub.add_client_error("invoke_endpoint", "ModelNotReadyException", http_status_code=429)
    answer(runtime, {"predictions": []})
    assert invoke(runtime) == {"predictions": []}
    assert len(waits) == 2


def test_a_model_that_never_gets_ready_is_given_up(runtime, monkeypatch):
    monkeypatch.setattr(invocation, "_LOADING_SECONDS", -1)
    runtime.stub.add_client_error("invoke_endpoint", "ModelNotReadyException", http_status_code=429)
    with pytest.raises(ClientError, match="ModelNotReadyException"):
        invoke(runtime)


def test_an_answer_without_label_and_probabilities_is_explained():
    with pytest.raises(EndpointError, match="answers without label and probabilities"):
        invocation.read_answer(b'{"predictions": [[0.5, 0.5]]}', target_model="dense.tar.gz", seconds=0.5)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"error": "has shape (5, 5)"}', r"has shape \(5, 5\)"),
        (json.dumps({"title": "400 Bad Request", "description": '{"error": "has shape 5"}'}), r"^has shape 5$"),
        ('{"title": "415 Unsupported", "description": "no document"}', "^no document$"),
        ("gone wrong", "gone wrong"),
        ('{"error": "Invalid PNG.\\n\\t [[{{node map/while/cond/DecodePng}}]]"}', r"Invalid PNG\."),
        ('{"error": "assertion failed: [image 2 is a GIF]\\n\\t [[{{node a}}]]\\n\\t [[b]]"}', "image 2 is a GIF"),
        ('{"error": "assertion failed: [image 2 is a GIF]"}', "image 2 is a GIF"),
    ],
)
def test_the_models_own_words_are_passed_on(said, words):
    error = ClientError({"Error": {"Code": "ModelError", "Message": "no"}, "OriginalMessage": said}, "InvokeEndpoint")
    assert re.fullmatch(words, invocation.explain(error, BRIGHT))
    assert re.fullmatch(words, invocation.explain(error, [images.encode(BRIGHT[0])]))


def test_the_unreadable_file_of_a_batch_is_named():
    error = ClientError({"Error": {"Code": "ModelError", "Message": "no"}}, "InvokeEndpoint")
    assert invocation.explain(error, [images.encode(BRIGHT[0]), b"GIF89a"]) == (
        "image 1 (of 2, counted from 0) is a GIF file; models read JPEG and PNG files."
    )


def test_the_body_of_pixels_and_of_files():
    assert json.loads(invocation.request_body(BRIGHT[:1]))["instances"] == BRIGHT[:1].tolist()
    body = json.loads(invocation.request_body([b"\xff\xd8"]))
    assert body["signature_name"] == "serving_bytes"
    assert base64.b64decode(body["instances"][0]["b64"]) == b"\xff\xd8"
    assert len(json.loads(invocation.request_body(file for file in (b"\xff\xd8", b"\xff")))["instances"]) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((4, 4, 3)), r"shape \(N, height, width, 3\) with N ≥ 1, not \(4, 4, 3\)"),
        (np.zeros((1, 4, 4, 1)), "not"),
        (np.zeros((0, 4, 4, 3)), "N ≥ 1"),
        (np.zeros((1, 0, 0, 3)), "N ≥ 1"),
        ([], "array of pixels, or a sequence"),
        (["file.jpg"], "encoded files as bytes"),
        (np.zeros((4, 400, 400, 3)), "one call may carry 6,291,456. Send fewer images, or send them as JPEG"),
        ([bytes(5 * 1024 * 1024)], "one call may carry 6,291,456. The image is not an image"),
        ([bytes(3 * 1024 * 1024)] * 2, "one call may carry 6,291,456. Send fewer images in one call"),
    ],
)
def test_images_that_cannot_be_sent_are_refused_before_the_call(given, words):
    with pytest.raises(ValueError, match=words):
        invocation.request_body(given)


def test_a_photo_that_is_too_large_is_given_a_size_that_is_not():
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (2100, 2800, 3), dtype=np.uint8))
    large = io.BytesIO()
    noise.save(large, "JPEG", quality=98)
    small = images.encode(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="Shrink image 1 from 2800×2100 to about") as failure:
        invocation.request_body([small, large.getvalue()])
    width, height = re.search(r"about (\d+)×(\d+) pixels", str(failure.value)).groups()
    shrunk = io.BytesIO()
    noise.resize((int(width), int(height))).save(shrunk, "JPEG", quality=98)
    body = invocation.request_body([shrunk.getvalue()])
    assert len(body) > invocation.MAX_BODY_BYTES / 4  # no smaller than need be


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (
            np.full((1, 4, 4, 3), 0.5, np.float32),
            "All pixels lie between 0 and 1. The models take pixels from 0 to 255",
        ),
        (np.full((1, 4, 4, 3), -120.0), "Some pixels lie outside 0 to 255"),
    ],
)
def test_pixels_on_another_scale_are_warned_of(pixels, words):
    with pytest.warns(UserWarning, match=words):
        invocation.request_body(pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match="Some pixels are NaN or infinite"):
        invocation.request_body(np.full((1, 4, 4, 3), value))


@pytest.mark.parametrize("pixels", [BRIGHT, BRIGHT * 1.0, BRIGHT * 0, BRIGHT * 0.0, BRIGHT // 255])
def test_pixels_that_may_be_images_are_not_warned_of(pixels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        invocation.request_body(pixels)

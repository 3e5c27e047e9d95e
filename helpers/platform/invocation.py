"""One call of a model: the body that asks, the call, and what the model answers."""

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from helpers.platform.endpoint_status import EndpointError

MAX_BODY_BYTES = 6 * 1024 * 1024
# The platform goes on loading a model for so long after the first call for it.
_LOADING_SECONDS = 360


class UnknownModelError(EndpointError):
    """There is no archive of that name below the endpoint's prefix."""


@dataclass(frozen=True)
class Predictions:
    """What a model says about a batch of images.

    Attributes:
        labels: Class name of each image, length N.
        probabilities: float64 array (N, number of classes); rows sum to 1.
        seconds: Time from the request to the whole answer, in seconds.
    """

    labels: list[str]
    probabilities: np.ndarray
    seconds: float


def request_body(images: np.ndarray | Sequence[bytes]) -> bytes:
    """Return the JSON body that asks about images: pixels, or encoded files in base64.

    Args:
        images: Array (N, height, width, 3) of pixels 0-255, or a sequence of JPEG or PNG files as bytes.

    Raises:
        ValueError: If it is neither, is empty, or exceeds the 6 MiB that one call may carry.
    """
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise ValueError(f"Pixels must have the shape (N, height, width, 3) with N ≥ 1, not {images.shape}.")
        document: dict[str, Any] = {"instances": images.tolist()}
    else:
        if not images or not all(isinstance(image, bytes) for image in images):
            raise ValueError("Images must be an array of pixels, or a sequence of encoded files as bytes.")
        encoded = [{"b64": base64.b64encode(image).decode()} for image in images]
        document = {"signature_name": "serving_bytes", "instances": encoded}
    body = json.dumps(document, separators=(",", ":")).encode()
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(
            f"The request has {len(body):,} bytes, and one call may carry {MAX_BODY_BYTES:,}. "
            "Send fewer images, or send them as JPEG or PNG files."
        )
    return body


def predict(runtime: Any, endpoint_name: str, body: bytes, *, target_model: str) -> Predictions:
    """Call a model, wait for it while it is still loading, and read its answer.

    Args:
        runtime: boto3 client of ``sagemaker-runtime``.
        endpoint_name: Name of the endpoint.
        body: As ``request_body`` makes it.
        target_model: Name of the archive.

    Raises:
        EndpointError: If the model is unknown, refuses the images, or answers in another form than those of the series.
    """
    started = time.perf_counter()
    response = _invoke(runtime, endpoint_name, body, target_model)
    answer = json.loads(response["Body"].read())
    seconds = time.perf_counter() - started
    try:
        rows = answer["predictions"]
        return Predictions(
            [row["label"] for row in rows], np.array([row["probabilities"] for row in rows]), seconds=seconds
        )
    except (KeyError, TypeError) as error:
        raise EndpointError(
            f"{target_model} answers without label and probabilities. Export it as training_scripts/exporting.py "
            "does, or call it with boto3's invoke_endpoint."
        ) from error


def _invoke(runtime: Any, endpoint_name: str, body: bytes, target_model: str) -> dict[str, Any]:
    deadline = time.monotonic() + _LOADING_SECONDS
    while True:
        try:
            answer: dict[str, Any] = runtime.invoke_endpoint(
                EndpointName=endpoint_name, ContentType="application/json", Body=body, TargetModel=target_model
            )
            return answer
        except runtime.exceptions.ModelNotReadyException:
            if time.monotonic() > deadline:
                raise
            time.sleep(5)  # botocore does not retry this error
        except runtime.exceptions.ModelError as error:
            raise EndpointError(f"{target_model} refused the request: {_reason(error)}") from error
        except ClientError as error:
            if "Failed to download model data" not in str(error):
                raise
            raise UnknownModelError(f"{endpoint_name} finds no model {target_model}.") from error


def _reason(error: ClientError) -> str:
    """Return what the container said, out of the ``{"error": …}`` that it answers with."""
    text: str = error.response.get("OriginalMessage", str(error))
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text

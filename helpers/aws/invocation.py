"""One call of a model: the body that asks, the call, and what the model answers."""

import base64
import contextlib
import json
import math
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from botocore.exceptions import ClientError

MAX_BODY_BYTES = 6 * 1024 * 1024
# SageMaker answers after a minute, and goes on loading a model for so long after the first call for it.
_LOADING_SECONDS = 360
_SECONDS_BETWEEN_CALLS = 5.0
# What TensorFlow says around the words of a model: that a check failed, and at which node of its graph.
_TRIMMINGS = re.compile(r"\s*\[\[\{\{node.*\Z|^assertion failed: \[(.*?)\](?=\s|\Z)", re.DOTALL)


class EndpointError(RuntimeError):
    """The endpoint cannot be deployed or does not answer as asked; the message names the next step."""


@dataclass(frozen=True)
class Predictions:
    """What a model says about N images."""

    labels: list[str]  # class name of each image
    probabilities: np.ndarray  # float64 (N, number of classes); rows sum to 1
    seconds: float  # time from the request to the whole answer, in seconds


def request_body(images: np.ndarray | Sequence[bytes]) -> bytes:
    """Return the JSON body that asks about images: pixels 0-255, (N, height, width, 3), or JPEG or PNG files.

    Raises:
        ValueError: If it is neither, is empty, has pixels that are not finite numbers, or exceeds the 6 MiB that one
            call may carry.
    """
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[-1] != 3 or images.size == 0:
            raise ValueError(f"Pixels must have the shape (N, height, width, 3) with N ≥ 1, not {images.shape}.")
        if not np.isfinite(images).all():
            raise ValueError("Some pixels are NaN or infinite. Replace them before you send the images.")
        _warn_of_scale(images)
        # orjson takes the byte order of this machine only.
        document: dict[str, Any] = {"instances": images.astype(images.dtype.newbyteorder("="), copy=False)}
    else:
        images = list(images)
        if not images or not all(isinstance(image, bytes) for image in images):
            raise ValueError("Images must be an array of pixels, or a sequence of encoded files as bytes.")
        encoded = [{"b64": base64.b64encode(image).decode()} for image in images]
        document = {"signature_name": "serving_bytes", "instances": encoded}
    # Ten times as fast as json; arrays that orjson does not know, such as float16, become lists first.
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=np.ndarray.tolist)
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(
            f"The request has {len(body):,} bytes, and one call may carry {MAX_BODY_BYTES:,}. {_smaller(images)}"
        )
    return body


def _warn_of_scale(pixels: np.ndarray) -> None:
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        found = "Some pixels lie outside 0 to 255"
    elif np.issubdtype(pixels.dtype, np.floating) and 0 < high <= 1:
        found = "All pixels lie between 0 and 1"
    else:
        return
    warnings.warn(
        f"{found}. The models take pixels from 0 to 255 and scale them themselves: send the images unscaled, "
        "or the answers mean nothing.",
        stacklevel=4,  # the caller of MultiModelEndpoint.predict
    )


def _smaller(images: np.ndarray | Sequence[bytes]) -> str:
    """Say how to get images into one call."""
    from helpers.sources import image_files  # with Pillow, which a notebook that only deploys does without

    if isinstance(images, np.ndarray):
        return "Send fewer images, or send them as JPEG or PNG files."
    for index, file in enumerate(images):
        name = f"image {index}" if len(images) > 1 else "the image"
        if len(file) * 4 / 3 + 100 > MAX_BODY_BYTES:  # base64 makes four bytes of three
            try:
                width, height = image_files.read(file).size
            except ValueError as error:
                return f"{name.capitalize()} {error}."
            # Smaller pictures take more bytes a pixel, so it stays well below.
            factor = math.sqrt(0.75 * MAX_BODY_BYTES / (len(file) * 4 / 3))
            new_width, new_height = (max(10, int(side * factor) // 10 * 10) for side in (width, height))
            return f"Shrink {name} from {width}×{height} to about {new_width}×{new_height} pixels, as JPEG."
    return "Send fewer images in one call."


def invoke(runtime: Any, endpoint_name: str, body: bytes, *, target_model: str) -> bytes:
    """Call a model and return its answer, as JSON.

    A model that is still loading is waited for, up to six minutes: after one minute SageMaker answers 429,
    `ModelNotReadyException`, which boto3's default retry mode does not repeat.

    Args:
        runtime: boto3 client of `sagemaker-runtime`. Its `invoke_endpoint` and not the SDK's `Endpoint.invoke`, which
            takes seconds to import and milliseconds a call, and cannot be told how often to repeat it.
        endpoint_name: Name of the endpoint.
        body: As `request_body` makes it.
        target_model: Name of the archive.

    Raises:
        ClientError: If the call fails.
    """
    deadline = time.monotonic() + _LOADING_SECONDS
    while True:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint_name, ContentType="application/json", Body=body, TargetModel=target_model
            )
            return bytes(answer["Body"].read())
        except runtime.exceptions.ModelNotReadyException:
            if time.monotonic() > deadline:
                raise
            time.sleep(_SECONDS_BETWEEN_CALLS)


def read_answer(content: bytes, *, target_model: str, seconds: float) -> Predictions:
    """Read what `invoke` returned.

    Raises:
        EndpointError: If the model answers in another form than those of the series.
    """
    try:
        rows = json.loads(content)["predictions"]
        probabilities = np.array([row["probabilities"] for row in rows])
        return Predictions([row["label"] for row in rows], probabilities, seconds=seconds)
    except (KeyError, TypeError) as error:
        raise EndpointError(
            f"{target_model} answers without label and probabilities. Export it with the exporting module of "
            "training_scripts, or call it with boto3's invoke_endpoint."
        ) from error


def explain(error: ClientError, images: np.ndarray | Sequence[bytes]) -> str:
    """Say why a model refused images: which of the files cannot be read, or else the container's own words."""
    if not isinstance(images, np.ndarray):
        from helpers.sources import image_files

        for index, file in enumerate(images):
            try:
                image_files.read(file)
            except ValueError as reason:
                return f"image {index} (of {len(images)}, counted from 0) {reason}."
    text: str = error.response.get("OriginalMessage", str(error))
    for key in ("description", "error"):  # the description is itself a document with an error
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(text)[key])
    return _TRIMMINGS.sub(lambda found: found[1] or "", text)

"""TensorFlow without a server: load SavedModels and call their signatures, timed, as asked on standard input.

Each line of standard input is a JSON object, answered by one line on standard output. TensorFlow has its default
settings. A call goes from a NumPy array to NumPy arrays; what JSON costs is measured on request.
"""

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

MODELS: dict[str, Any] = {}


def load(name: str, folder: str) -> dict[str, Any]:
    """Load a model and say how long that took, without and with its first call."""
    started = time.perf_counter()
    MODELS[name] = tf.saved_model.load(str(Path(folder) / "1"))
    return {"seconds": time.perf_counter() - started}


def unload(name: str) -> dict[str, Any]:
    """Forget a model."""
    del MODELS[name]
    return {}


def call(name: str, request: str, calls: int, with_json: bool) -> dict[str, Any]:
    """Time calls of a model with a request of TensorFlow Serving; each call may include its JSON."""
    body, seconds = request.encode(), []
    decoded = decode(name, body)
    for _ in range(calls):
        started = time.perf_counter()
        if with_json:
            encode(call_signature(*decode(name, body)))
        else:
            call_signature(*decoded)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "probabilities": call_signature(*decoded)["probabilities"][0].tolist()}


def call_signature(signature: Any, argument: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """Call a signature with an array for its argument."""
    return {key: value.numpy() for key, value in signature(**{argument: tf.constant(array)}).items()}


def decode(name: str, body: bytes) -> tuple[Any, str, np.ndarray]:
    """Return the signature that a request names, its argument, and the array for it."""
    document = json.loads(body)
    signature = MODELS[name].signatures[document.get("signature_name", "serving_default")]
    if "signature_name" in document:
        encoded = [base64.b64decode(instance["b64"]) for instance in document["instances"]]
        return signature, "image_bytes", np.array(encoded, dtype=object)
    return signature, "instances", np.array(document["instances"], dtype=np.float32)


def encode(outputs: dict[str, np.ndarray]) -> bytes:
    """Write outputs as TensorFlow Serving does."""
    rows = [
        {"label": label.decode(), "probabilities": probabilities}
        for label, probabilities in zip(outputs["label"], outputs["probabilities"].tolist(), strict=True)
    ]
    return json.dumps({"predictions": rows}).encode()


def main() -> None:
    """Answer until standard input ends."""
    commands = {"load": load, "unload": unload, "call": call, "ping": dict}
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(commands[question.pop("command")](**question)), flush=True)


if __name__ == "__main__":
    main()

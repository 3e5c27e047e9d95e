"""The container side of a multi-model endpoint: the HTTP contract of AWS's TensorFlow Serving container.

See "Build your own container for multi-model endpoints" (mms-container-apis) in the SageMaker developer guide. The
container knows nothing of S3: it loads what the platform unpacked. Run it alone with
``python -m local_sagemaker.container --port 8080``.
"""

import argparse
import asyncio
import logging
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from local_sagemaker import servables
from local_sagemaker.asgi import read_body, send_response
from local_sagemaker.servables import BasePathError, Servable
from local_sagemaker.settings import GIBIBYTE
from local_sagemaker.tensors import RequestError

logger = logging.getLogger(__name__)
_MODEL_NAME = re.compile(r"[\w.][\w.-]{0,254}")
Answer = tuple[int, bytes]


class Container:
    """Loaded models by name, and the answers to the calls of the contract."""

    def __init__(self, *, memory_bytes: int = 4 * GIBIBYTE) -> None:
        """Create an empty container.

        Args:
            memory_bytes: What the weights of all loaded models may take together, in bytes.
        """
        self._memory_bytes = memory_bytes
        self._models: dict[str, Servable] = {}
        self._reserved: dict[str, int] = {}  # models being loaded and their forecast footprint
        self._lock = threading.Lock()

    def load(self, body: bytes) -> Answer:
        """``POST /models``: load ``{"model_name": …, "url": …}``."""
        try:
            document = orjson.loads(body)
            name, url = document["model_name"], document["url"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return _error(400, 'The body must be {"model_name": …, "url": …}.')
        if not isinstance(name, str) or not _MODEL_NAME.fullmatch(name) or not isinstance(url, str):
            return _error(400, f"invalid model_name: {name!r}")
        try:
            size = servables.saved_bytes(Path(url), name)
        except BasePathError as error:
            return _error(404, str(error))
        with self._lock:
            if name in self._models or name in self._reserved:
                return _error(409, f"Model {name} is already loaded.")
            used = sum(self._reserved.values()) + sum(model.footprint for model in self._models.values())
            if used + size > self._memory_bytes:
                return _error(
                    507,
                    f"Memory exhausted: {name} needs {size:,} bytes, {used:,} of {self._memory_bytes:,} are in use.",
                )
            self._reserved[name] = size
        try:
            model = Servable(name, Path(url))
        except MemoryError:
            return _error(507, f"Memory exhausted: not enough memory to load {name}")
        except Exception as error:  # TensorFlow raises many kinds for a damaged SavedModel
            logger.warning("loading %s failed: %s", name, error)
            return _error(500, f"Failed to load model {name}: {type(error).__name__}: {error}")
        finally:
            with self._lock:
                del self._reserved[name]
        with self._lock:
            self._models[name] = model
        logger.info("loaded %s, version %s, %d bytes of weights", name, model.version, model.footprint)
        return _success(f"Successfully loaded model {name}, version {model.version}.")

    def unload(self, name: str) -> Answer:
        """``DELETE /models/{name}``: its memory is free when the answer leaves."""
        with self._lock:
            model = self._models.pop(name, None)
        if model is None:
            return _error(404, f"Model {name} is not loaded yet.")
        model.unload()
        logger.info("unloaded %s", name)
        return _success(f"Successfully unloaded model {name}.")

    def list(self) -> Answer:
        """``GET /models``: the loaded models."""
        return 200, orjson.dumps({name: _status(model) for name, model in sorted(self._models.items())})

    def describe(self, name: str) -> Answer:
        """``GET /models/{name}``: one loaded model."""
        model = self._models.get(name)
        return (200, orjson.dumps(_status(model))) if model else _error(404, f"Model {name} is not loaded yet.")

    def invoke(self, name: str, content_type: str, body: bytes) -> Answer:
        """``POST /models/{name}/invoke``: a prediction."""
        model = self._models.get(name)
        if model is None:
            return _error(404, f"Model {name} is not loaded yet.")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "application/json":
            return _error(415, f"Unsupported Media Type: {content_type or 'Unknown'}")
        try:
            return 200, model.predict(body)
        except RequestError as error:
            return _error(400, str(error))
        except Exception as error:
            logger.exception("prediction of %s failed", name)
            return _error(500, f"{type(error).__name__}: {error}")


def _status(model: Servable) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": model.version, "state": "AVAILABLE", "status": status}]}


def _error(status: int, message: str) -> Answer:
    return status, orjson.dumps({"error": message})


def _success(message: str) -> Answer:
    return 200, orjson.dumps({"success": message})


class Application:
    """The container as an ASGI application."""

    def __init__(self, container: Container, *, predict_threads: int = 4) -> None:
        """Wrap a container.

        Args:
            container: The container.
            predict_threads: Number of predictions computed at the same time.
        """
        self._container = container
        self._predictions = ThreadPoolExecutor(predict_threads, thread_name_prefix="predict")
        self._loads = ThreadPoolExecutor(2, thread_name_prefix="load")  # loading never blocks predictions

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive)
        headers = dict(scope["headers"])
        status, payload = await self._route(scope["method"], scope["path"], headers, body)
        await send_response(send, status, [(b"content-type", b"application/json")], payload)

    async def _route(self, method: str, path: str, headers: dict[bytes, bytes], body: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        parts = path.strip("/").split("/")
        match [method, *parts]:
            case ["GET", "ping"]:
                return 200, b"{}"
            case ["POST", "models"]:
                return await loop.run_in_executor(self._loads, self._container.load, body)
            case ["GET", "models"]:
                return self._container.list()
            case ["GET", "models", name]:
                return self._container.describe(name)
            case ["DELETE", "models", name]:
                return await loop.run_in_executor(self._loads, self._container.unload, name)
            case ["POST", "models", name, "invoke"]:
                content_type = headers.get(b"content-type", b"").decode("latin-1")
                return await loop.run_in_executor(self._predictions, self._container.invoke, name, content_type, body)
            case [_, "ping"] | [_, "models", *_]:
                return _error(405, f"Method {method} is not allowed for {path}.")
        return _error(404, f"There is nothing at {path}.")


def main(arguments: list[str] | None = None) -> None:
    """Serve the container contract until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker.container", description=main.__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="port on 127.0.0.1")
    where.add_argument("--socket", help="path of a Unix socket")
    parser.add_argument("--memory-bytes", type=int, default=4 * GIBIBYTE, help="memory for weights (default: 4 GiB)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    application = Application(Container(memory_bytes=options.memory_bytes))
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=options.port or 0,
        uds=options.socket,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=3600,  # the platform keeps its connections open
    )


if __name__ == "__main__":
    main()

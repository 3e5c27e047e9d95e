"""The container side of a multi-model endpoint: the HTTP contract of AWS's TensorFlow Serving container.

See "Build your own container for multi-model endpoints" (mms-container-apis) in the SageMaker developer guide. The
container knows nothing of S3: it loads what the platform unpacked. Run it alone with
``python -m local_sagemaker.container --port 8080``.
"""

import argparse
import contextlib
import gc
import logging
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

from local_sagemaker.asgi import read_body, send_response
from local_sagemaker.batches import BatchingOptions
from local_sagemaker.invocations import Answer, Invocation, error_answer
from local_sagemaker.loaded_models import LoadedModels
from local_sagemaker.settings import GIBIBYTE, RUNTIME_ENVIRONMENT


class Application:
    """The container as an ASGI application."""

    def __init__(self, models: LoadedModels) -> None:
        """Serve the models."""
        self._models = models

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """Answer one request, or take part in the start and the end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        try:
            body = await read_body(receive)
        except ConnectionResetError:
            return
        headers = dict(scope["headers"])
        answer = await self._route(scope["method"], scope["path"], headers, body)
        answer_headers = [(b"content-type", answer.content_type.encode())]
        if b"upgrade" in headers or scope["method"] == "CONNECT":
            answer_headers.append((b"connection", b"close"))  # uvicorn reads nothing that follows such a request
        await send_response(send, answer.status, answer_headers, answer.body)

    async def _live(self, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await receive()
        gc.collect()
        gc.freeze()  # what TensorFlow's modules consist of stays; looking through it takes a third of a second
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._models.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _route(self, method: str, path: str, headers: dict[bytes, bytes], body: bytes) -> Answer:
        parts = path.strip("/").split("/")
        match [method, *parts]:
            case ["GET", "ping"]:
                return Answer(200, b"{}")
            case ["POST", "models"]:
                return await self._models.load(body)
            case ["GET", "models"]:
                return self._models.list()
            case ["GET", "models", name]:
                return self._models.describe(name)
            case ["DELETE", "models", name]:
                return await self._models.unload(name)
            case ["POST", "models", name, "invoke"]:
                return await self._models.invoke(Invocation.from_headers(name, headers, body))
            case [_, "ping"] | [_, "models", *_]:
                return error_answer(405, f"Method {method} is not allowed for {path}.")
        return error_answer(404, f"There is nothing at {path}.")


def main(arguments: list[str] | None = None) -> None:
    """Serve the container contract until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker.container", description=main.__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="port on 127.0.0.1")
    where.add_argument("--socket", help="path of a Unix socket")
    parser.add_argument("--memory-bytes", type=int, default=4 * GIBIBYTE, help="memory for weights (default: 4 GiB)")
    parser.add_argument("--invocation-seconds", type=float, default=60, help="limit of one call (default: 60)")
    parser.add_argument("--load-seconds", type=float, default=360, help="limit of an import of inference.py")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    os.environ.update(RUNTIME_ENVIRONMENT)  # for a container that runs alone
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where there is no limit that could be named
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each mapped model holds a file open
    try:
        batching = BatchingOptions.from_environment(os.environ)
    except ValueError as error:
        parser.error(str(error))
    models = LoadedModels(
        memory_bytes=options.memory_bytes,
        invocation_seconds=options.invocation_seconds,
        load_seconds=options.load_seconds,
        sockets=Path(options.socket).parent if options.socket else None,
        batching=batching,
    )
    uvicorn.run(
        Application(models),
        host="127.0.0.1",
        port=options.port or 0,
        uds=options.socket,
        lifespan="on",
        ws="none",  # a request to change to WebSocket is answered like any other
        access_log=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=3600,  # the platform keeps its connections open
    )


if __name__ == "__main__":
    main()

"""The container as an ASGI application: the HTTP contract of AWS's TensorFlow Serving container.

See "Build your own container for multi-model endpoints" (mms-container-apis) in the SageMaker developer guide. The
container knows nothing of S3: it loads what the platform unpacked.
"""

import gc
from collections.abc import Awaitable, Callable
from typing import Any

from local_sagemaker.asgi import read_body, send_response
from local_sagemaker.container.invocations import Answer, Invocation, error_answer
from local_sagemaker.container.loaded_models import LoadedModels


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

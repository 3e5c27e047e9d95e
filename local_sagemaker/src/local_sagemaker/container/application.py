"""The container as an ASGI application: the HTTP contract of AWS's TensorFlow Serving container.

See "Build your own container for multi-model endpoints" (mms-container-apis) in the SageMaker developer guide. The
container knows nothing of S3: it loads what the platform unpacked.
"""

import gc
from collections.abc import Awaitable, Callable
from typing import Any

from local_sagemaker.asgi import read_body, send_response
from local_sagemaker.container.invocations import (
    Answer,
    Invocation,
    RefusedError,
    check_model_name,
    error_answer,
    http_error,
)
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
        if scope["method"] == "HEAD":
            answer = answer._replace(body=b"")
        answer_headers = [(b"content-type", answer.content_type.encode("latin-1"))]
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
        """Answer a request, by the rules of AWS's proxy and of the web framework behind it."""
        accept = headers.get(b"accept", b"").decode("latin-1")
        single = self._models.single
        parts = path[1:].split("/")
        try:
            match [method, *parts]:
                case ["GET", "ping"]:
                    return Answer(200, b"")
                case ["GET", "invocations"] if single is None or self._models.has_handler(single):
                    return Answer(200, b"{}")
                case ["GET" | "POST", "invocations"] if single is not None:
                    return await self._models.invoke(Invocation.from_headers(single, headers, body))
                case ["POST", "invocations"]:
                    raise RefusedError("Invocation request does not contain model name.")
                case ["GET" | "POST", "models"] if single is not None:
                    return http_error(404, accept)
                case ["POST", "models"]:
                    return await self._models.load(body, accept=accept)
                case ["GET", "models"]:
                    return self._models.list()
                case ["DELETE", "models"]:
                    return http_error(500, accept)
                case ["GET" | "POST" | "DELETE", "models", name, *rest] if rest in ([], ["invoke"]):
                    check_model_name(name)
                    if method == "POST":
                        return await self._models.invoke(Invocation.from_headers(name, headers, body))
                    return self._models.describe(name) if method == "GET" else await self._models.unload(name)
                case [_, "ping" | "invocations" | "models"] | [_, "models", _] | [_, "models", _, "invoke"]:
                    return http_error(405, accept)
        except RefusedError as error:
            return error_answer(400, str(error))
        if path.startswith(("/ping", "/invocations", "/models")):
            return http_error(404, accept)
        return error_answer(404, "Not Found")

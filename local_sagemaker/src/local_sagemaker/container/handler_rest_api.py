"""TensorFlow Serving's REST API on a loopback port, for handlers that post to ``context.rest_uri``.

Every user of this machine can reach a port, so the address holds a secret that handlers alone are told. Models without
an ``inference.py`` are not reachable here: their calls come through the container contract alone.
"""

import asyncio
import hmac
import re
import secrets
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from local_sagemaker.container.invocations import Answer, serving_error
from local_sagemaker.settings import HOST, max_handler_bytes

_PREDICT = re.compile(r"v1/models/([^/:]+)(?:/versions/(\d+))?:(classify|regress|predict)")
_STATUS = re.compile(r"v1/models/([^/:]+)(?:/versions/(\d+))?")
Predict = Callable[[str, str | None, str, bytes], Awaitable[Answer]]  # of a model, its version, method and body
Describe = Callable[[str, str | None], Answer]  # of a model, and one version or all


class ServingApi:
    """The REST API; it opens its port when it is first needed."""

    def __init__(self, predict: Predict, describe: Describe) -> None:
        """Create the API over what answers predictions and describes models."""
        self._predict = predict
        self._describe = describe
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self.port = 0
        self._secret = secrets.token_urlsafe(16)
        # gRPC is not served. The port is taken, so that nobody else answers there, and a call is refused at once.
        self._grpc = socket.socket()
        self._grpc.bind((HOST, 0))
        self.grpc_port: int = self._grpc.getsockname()[1]

    @property
    def address(self) -> str:
        """What the addresses of all models begin with."""
        return f"http://localhost:{self.port}/{self._secret}"

    async def start(self) -> None:
        """Open the port, unless it is open."""
        async with self._starting:
            if self._runner:
                return
            application = web.Application(client_max_size=max_handler_bytes())
            application.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, HOST, 0).start()
            self.port = runner.addresses[0][1]
            self._runner = runner

    async def close(self) -> None:
        """Close the port."""
        self._grpc.close()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            answer = await self._route(request)
        except web.HTTPRequestEntityTooLarge:
            limit = f"The request body is larger than the limit of {max_handler_bytes():,} bytes."
            answer = serving_error(413, limit)
        response = web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
        if answer.status in (403, 413):
            response.force_close()  # what is left of its body is not waited for
        return response

    async def _route(self, request: web.Request) -> Answer:
        secret, _, path = request.path[1:].partition("/")
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return serving_error(403, "This address is not a model's. Use context.rest_uri.")
        if (request.content_length or 0) > max_handler_bytes():
            raise web.HTTPRequestEntityTooLarge(max_handler_bytes())
        if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
            name, version, method = match.groups()
            return await self._predict(name, version, method, await request.read())
        if request.method == "GET" and (match := _STATUS.fullmatch(path)):
            return self._describe(match[1], match[2])
        return serving_error(400, f"Malformed request: {request.method} /{path}")

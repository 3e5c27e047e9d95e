"""TensorFlow Serving's REST API on a loopback port, for handlers that post to ``context.rest_uri``.

Models without an ``inference.py`` are not reachable here: their calls come through the container contract alone.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from local_sagemaker.container.invocations import Answer, indented_error
from local_sagemaker.settings import HOST

_PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:(classify|regress|predict)")
_STATUS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?")
Predict = Callable[[str, str | None, str, bytes], Awaitable[Answer]]
Describe = Callable[[str, str | None], Answer]


class ServingApi:
    """The REST API; it opens its port when it is first needed."""

    def __init__(self, predict: Predict, describe: Describe) -> None:
        """Create the API.

        Args:
            predict: Answers a prediction: model name, version or None, method, body.
            describe: Answers a model's status: its name, and a version or None for all.
        """
        self._predict = predict
        self._describe = describe
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self.port = 0
        # gRPC is not served. The port is taken, so that nobody else answers there, and a call is refused at once.
        self._grpc = socket.socket()
        self._grpc.bind((HOST, 0))
        self.grpc_port: int = self._grpc.getsockname()[1]

    async def start(self) -> None:
        """Open the port, unless it is open."""
        async with self._starting:
            if self._runner:
                return
            application = web.Application(client_max_size=0)  # the platform limits the size of requests
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
        answer = await self._route(request)
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

    async def _route(self, request: web.Request) -> Answer:
        if request.host not in (f"{HOST}:{self.port}", f"localhost:{self.port}"):
            return Answer(403, indented_error("This API answers on the loopback address alone."))
        if request.method == "POST" and (match := _PREDICT.fullmatch(request.path)):
            name, version, method = match.groups()
            return await self._predict(name, version, method, await request.read())
        if request.method == "GET" and (match := _STATUS.fullmatch(request.path)):
            return self._describe(match[1], match[2])
        return Answer(400, indented_error(f"Malformed request: {request.method} {request.path}"))

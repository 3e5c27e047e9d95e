"""The server: one ASGI application on 127.0.0.1 that verifies signatures and routes requests.

SageMaker's own actions and the runtime are answered here, everything else by moto in the same process.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from a2wsgi import WSGIMiddleware

from local_sagemaker import aws_services, signing
from local_sagemaker.actions import Actions
from local_sagemaker.asgi import read_body, send_response
from local_sagemaker.clients import client_environment
from local_sagemaker.endpoints import Endpoints
from local_sagemaker.errors import ServiceError
from local_sagemaker.metrics import Metrics
from local_sagemaker.objects import Objects
from local_sagemaker.records import Records
from local_sagemaker.settings import HOST, Settings
from local_sagemaker.training_jobs import TrainingJobs

logger = logging.getLogger(__name__)
_JSON = "application/x-amz-json-1.1"
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Server:
    """The stand-in as an ASGI application."""

    def __init__(self, settings: Settings, *, port: int) -> None:
        """Open the home folder and rebuild its state.

        Args:
            settings: Folders and limits.
            port: Port it will be reached at; requests for another host are refused.
        """
        self._settings = settings
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._credentials = signing.load_credentials(settings.home)
        self._records = Records(settings.database)
        self._metrics = Metrics()
        self._objects = Objects(settings.objects, self._records)
        aws_services.create_execution_role()
        job_environment = client_environment(self._credentials, port)
        self._training_jobs = TrainingJobs(settings, self._records, self._objects, job_environment)
        self._endpoints = Endpoints(settings, self._records, self._objects, self._metrics)
        self._actions = Actions(self._records, self._training_jobs, self._endpoints)
        self._moto = WSGIMiddleware(aws_services.wsgi_application(), workers=8)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._endpoints.resume()
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self._training_jobs.close)
                await self._endpoints.close()
                self._records.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = _Request(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
            b"",
        )
        try:
            if headers.get("host") not in self._hosts:
                raise ServiceError("AccessDenied", "The Host header names another server.", status=403)
            runtime = request.path.startswith("/endpoints/") and request.path.endswith("/invocations")
            limit = self._settings.max_invocation_bytes if runtime else self._settings.max_request_bytes
            body = await self._body(headers, receive, send, limit)
            request = _Request(request.method, request.path, request.query, headers, body)
            access = signing.verify(
                method=request.method,
                path=request.path,
                query=request.query,
                headers=headers,
                body=body,
                credentials=self._credentials,
            )
            if access.service == "sagemaker" and runtime:
                await self._invoke(request, send)
            elif access.service == "sagemaker":
                await self._act(request, access.region, send)
            else:
                await self._pass_to_moto(scope, request, access.service, send)
        except ServiceError as error:
            await _send_error(send, error, headers)
        except ConnectionResetError:
            pass  # nobody is there to answer to
        except Exception as error:
            logger.exception("%s %s", request.method, request.path)
            reason = f"The server failed: {type(error).__name__}: {error}. See its log."
            await _send_error(send, ServiceError("InternalFailure", reason, status=500), headers)

    async def _body(self, headers: Mapping[str, str], receive: Receive, send: Send, limit: int) -> bytes:
        too_large = ServiceError(
            "ValidationError", f"The request body is larger than the limit of {limit:,} bytes.", status=413
        )
        if int(headers.get("content-length", 0) or 0) > limit:
            raise too_large
        try:
            return await read_body(receive, limit=limit)
        except OverflowError:
            raise too_large from None

    async def _act(self, request: _Request, region: str, send: Send) -> None:
        target = request.headers.get("x-amz-target", "")
        service, _, action = target.partition(".")
        if service != "SageMaker" or request.method != "POST":
            raise ServiceError("UnknownOperationException", f"There is no SageMaker operation {target!r}.", status=404)
        payload = self._actions.call(action, request.body, region=region)
        await send_response(send, 200, [(b"content-type", _JSON.encode())], payload)

    async def _invoke(self, request: _Request, send: Send) -> None:
        headers = request.headers
        response, variant = await self._endpoints.invoke(
            unquote(request.path.split("/")[2]),
            request.body,
            content_type=headers.get("content-type", ""),
            accept=headers.get("x-amzn-sagemaker-accept", headers.get("accept", "")),
            target_model=headers.get("x-amzn-sagemaker-target-model", ""),
            target_variant=headers.get("x-amzn-sagemaker-target-variant", ""),
        )
        answer = [
            (b"content-type", response.content_type.encode("latin-1")),
            (b"x-amzn-invoked-production-variant", variant.encode("latin-1")),
        ]
        await send_response(send, response.status, answer, response.body)

    async def _pass_to_moto(self, scope: dict[str, Any], request: _Request, service: str, send: Send) -> None:
        if service not in aws_services.SERVICES:
            supported = ", ".join(sorted(aws_services.SERVICES))
            raise ServiceError("UnsupportedOperation", f"local_sagemaker has no {service}. It has: {supported}.")
        if service == "iam" and b"Action=SimulatePrincipalPolicy" in request.body:
            text = aws_services.simulate_principal_policy(request.body)
            await send_response(send, 200, [(b"content-type", b"text/xml")], text.encode())
            return
        if service == "monitoring":
            self._metrics.flush()
        start: dict[str, Any] = {}
        chunks: list[bytes] = []

        async def replay() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def collect(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))

        await self._moto(scope, replay, collect)
        if service == "s3" and start["status"] < 300:  # on disk before the client hears of it
            await asyncio.to_thread(
                self._objects.after_request, request.method, request.path, request.query, request.body
            )
        await send(start)
        await send({"type": "http.response.body", "body": b"".join(chunks)})


async def _send_error(send: Send, error: ServiceError, headers: Mapping[str, str]) -> None:
    """Send an error in the form that the called service uses."""
    content_type = headers.get("content-type", "")
    if "x-amz-target" in headers or "x-amzn-sagemaker" in str(headers) or content_type == "application/json":
        document = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
        payload, media_type = json.dumps(document).encode(), _JSON
    elif content_type.startswith("application/x-www-form-urlencoded"):
        payload = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
            f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
        ).encode()
        media_type = "text/xml"
    else:
        payload = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>".encode()
        media_type = "application/xml"
    answer = [(b"content-type", media_type.encode()), (b"x-amzn-errortype", error.code.encode())]
    await send_response(send, error.status, answer, payload)


def configure_logging() -> None:
    """Write the server's log to standard error."""
    level = os.environ.get("LOCAL_SAGEMAKER_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")

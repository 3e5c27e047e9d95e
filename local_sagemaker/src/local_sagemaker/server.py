"""The server: one ASGI application on 127.0.0.1 that verifies signatures and routes requests.

SageMaker's own actions and the runtime are answered here, everything else by moto in the same process.
"""

import asyncio
import contextlib
import dataclasses
import errno
import functools
import hashlib
import logging
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from moto import __version__ as MOTO

from local_sagemaker import errors
from local_sagemaker.actions import Actions, accepted_fields
from local_sagemaker.asgi import Request, as_sent, body_parts, read_body, send_response
from local_sagemaker.errors import ServiceError
from local_sagemaker.gateway import signing, upload_bodies
from local_sagemaker.gateway.transcript import Transcript
from local_sagemaker.hosting.container_process import Call
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.records import Records
from local_sagemaker.services import aws_services, buckets
from local_sagemaker.services.journal import SERVICES as JOURNAL_SERVICES
from local_sagemaker.services.journal import Journal
from local_sagemaker.services.log_store import LogStore
from local_sagemaker.services.metrics import Metrics
from local_sagemaker.services.objects import Objects, brings_object
from local_sagemaker.services.s3_documents import Upload, sync
from local_sagemaker.settings import DEFAULT_REGION, HOST, MEBIBYTE, Settings
from local_sagemaker.training.training_jobs import TrainingJobs

logger = logging.getLogger(__name__)
_JSON = "application/x-amz-json-1.1"
_SINGLE = frozenset({"authorization", "content-length", "content-type", "host", "transfer-encoding"})
_STORAGE_ERRORS = frozenset({errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EPERM, errno.EROFS})
# What a presigned URL says of its signature, which was verified before.
_PRESIGNED = ("X-Amz-", "AWSAccessKeyId=", "Signature=", "Expires=")
# Calls of the runtime besides InvokeEndpoint, by the end of their path.
_RUNTIME_ACTIONS = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Server:
    """The emulator as an ASGI application."""

    def __init__(self, settings: Settings, *, port: int) -> None:
        """Open the home folder and rebuild its state; requests for another host than this port are refused."""
        self._settings = settings
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._credentials = signing.load_credentials(settings.home)
        self._records = Records(settings.database)
        self._objects = Objects(settings.objects, self._records)
        self._journal = Journal(self._records, settings.services, most_requests=settings.max_journal_requests)
        if not aws_services.has_execution_role():
            self._journal.submit("iam", aws_services.execution_role_request(), region=DEFAULT_REGION)
        self._logs = LogStore(
            settings.logs, self._journal, max_bytes=settings.max_log_bytes, max_seconds=settings.log_max_seconds
        )
        job_environment = signing.client_environment(self._credentials, port)
        self._training_jobs = TrainingJobs(settings, self._records, self._objects, job_environment)
        self._endpoints = Endpoints(settings, self._records, self._objects, Metrics())
        self._actions = Actions(self._records, self._training_jobs, self._endpoints)
        self._transcript = Transcript(settings.transcript) if settings.transcript else None
        self._waiting_bytes = 0  # of the bodies that are being taken

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
                self._logs.close()
                self._records.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, query = (scope[part].decode("latin-1") for part in ("raw_path", "query_string"))
        request = Request(scope["method"], path, query, headers)
        try:
            if len(headers) < len(scope["headers"]):
                _check_repeated([name.decode("latin-1") for name, _ in scope["headers"]])
            if headers.get("host") not in self._hosts:
                raise ServiceError("AccessDenied", "The Host header names another server.", status=403)
            buckets.check_form(request)
            runtime = request.path.startswith("/endpoints/") and request.path.endswith("/invocations")
            limit = self._settings.max_invocation_bytes if runtime else self._settings.max_request_bytes
            access, check_body = signing.check_head(request, self._credentials)
            with self._room(headers, limit):
                if access.service == "s3" and brings_object(_without_signature(request)):
                    parts = body_parts(receive, limit=limit)
                    await _pass_on(send, await self._upload(request, access, check_body, parts))
                    return
                request = Request(request.method, path, query, headers, await read_body(receive, limit=limit))
            check_body(hashlib.sha256(request.body).hexdigest())
            if self._transcript:
                self._transcript.add(request, access.service, region=access.region)
            if access.service == "sagemaker" and runtime:
                await self._invoke(request, access.region, send)
            elif access.service == "sagemaker":
                await self._act(request, access.region, send)
            else:
                await self._pass_to_moto(request, access, send)
        except ServiceError as error:
            await _send_error(send, error, headers)
        except ConnectionResetError:
            pass  # nobody is there to answer to
        except Exception as error:
            logger.exception("%s %s", request.method, request.path)
            await _send_error(send, _unexpected(error, request, self._settings.home), headers)

    @contextlib.contextmanager
    def _room(self, headers: Mapping[str, str], limit: int) -> Iterator[None]:
        """Count a body among those that are being taken, or refuse it."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise ServiceError("InvalidRequest", f"The Content-Length {length!r} is no number.")
        if int(length) > limit:
            raise _too_large(limit)
        expected = limit if "transfer-encoding" in headers else int(length)
        if self._waiting_bytes + expected > self._settings.max_waiting_bytes:
            raise ServiceError("SlowDown", "The server is taking too many bodies. Try again.", status=503)
        self._waiting_bytes += expected
        try:
            yield
        except OverflowError:
            raise _too_large(limit) from None
        finally:
            self._waiting_bytes -= expected

    async def _upload(
        self, request: Request, access: signing.Scope, check_body: Callable[[str], None], parts: AsyncIterator[bytes]
    ) -> aws_services.Response:
        """Write the body of an object to disk while it comes, and let moto answer once it is checked and all there."""
        plain = _without_signature(request)
        with self._objects.upload() as upload:
            payload = upload_bodies.Payload(plain.headers, upload.file.write)
            waiting = bytearray()
            async for part in parts:
                waiting += part
                if len(waiting) >= MEBIBYTE:
                    await asyncio.to_thread(payload.feed, bytes(waiting))
                    waiting.clear()

            def finish() -> aws_services.Response:
                payload.feed(bytes(waiting))
                check_body(payload.sha256)
                if self._transcript:
                    whole = dataclasses.replace(request, body=b"..." if payload.size else b"")
                    self._transcript.add(whole, access.service, region=access.region)
                taken = dataclasses.replace(plain, headers=payload.finish())
                upload.etag = payload.md5
                sync(upload.file)
                return self._s3(taken, access, upload)

            return await asyncio.to_thread(finish)

    async def _act(self, request: Request, region: str, send: Send) -> None:
        target = request.headers.get("x-amz-target", "")
        service, _, action = target.partition(".")
        if not target:
            name = _RUNTIME_ACTIONS.get(request.path.rpartition("/")[2], f"{request.method} {request.path}")
            raise ServiceError("UnsupportedOperation", f"local_sagemaker has no {name}. It has InvokeEndpoint.")
        if service != "SageMaker" or request.method != "POST":
            raise ServiceError("UnknownOperationException", f"There is no SageMaker operation {target!r}.", status=404)
        payload = self._actions.call(action, request.body, region=region)
        await send_response(send, 200, [(b"content-type", _JSON.encode())], payload)

    async def _invoke(self, request: Request, region: str, send: Send) -> None:
        headers = request.headers
        accepted_fields.check_headers(headers)
        call = Call(
            request.body,
            content_type=headers.get("content-type", ""),
            accept=headers.get("x-amzn-sagemaker-accept", headers.get("accept", "")),
            custom_attributes=headers.get("x-amzn-sagemaker-custom-attributes", ""),
        )
        response, variant = await self._endpoints.invoke(
            unquote(request.path.split("/")[2]),
            call,
            region=region,
            target_model=as_sent(headers.get("x-amzn-sagemaker-target-model", "")),
            target_variant=headers.get("x-amzn-sagemaker-target-variant", ""),
        )
        answer = [
            (b"content-type", response.content_type.encode("latin-1")),
            (b"x-amzn-invoked-production-variant", variant.encode("latin-1")),
        ]
        if response.custom_attributes:
            answer.append((b"x-amzn-sagemaker-custom-attributes", response.custom_attributes.encode("latin-1")))
        await send_response(send, 200, answer, response.body)

    async def _pass_to_moto(self, request: Request, access: signing.Scope, send: Send) -> None:
        service = access.service
        if service not in aws_services.SERVICES:
            supported = ", ".join(sorted(aws_services.SERVICES))
            raise ServiceError("UnsupportedOperation", f"local_sagemaker has no {service}. It has: {supported}.")
        if service == "iam" and b"Action=SimulatePrincipalPolicy" in request.body:
            text = aws_services.simulate_principal_policy(request.body)
            await send_response(send, 200, [(b"content-type", b"text/xml")], text.encode())
            return
        if service == "monitoring":
            await self._endpoints.publish_metrics()
        answer = self._s3 if service == "s3" else self._journaled
        await _pass_on(send, await asyncio.to_thread(answer, request, access))

    def _journaled(self, request: Request, access: signing.Scope) -> aws_services.Response:
        submit = self._journal.submit if access.service in JOURNAL_SERVICES else aws_services.send_request
        response = submit(access.service, request, region=access.region)
        if "Logs_20140328.Delete" in request.headers.get("x-amz-target", ""):
            self._logs.forget_deleted()
        return response

    def _s3(self, request: Request, access: signing.Scope, upload: Upload | None = None) -> aws_services.Response:
        request = _without_signature(request)
        buckets.check_supported(request)
        buckets.check_upload(request)
        if upload is None:  # else its body was decoded while it came
            request = upload_bodies.decode(request)
        ask = functools.partial(aws_services.send_request, "s3", request, region=access.region)
        if request.method in ("GET", "HEAD"):
            with contextlib.suppress(FileNotFoundError):
                response = ask()
                if response.status < 500:
                    return response
            # The object may have been replaced, and its file with it, while moto was reading. Nobody replaces it now.
            with self._objects.lock:
                return ask()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._objects.lock)
            if request.method == "POST" and "uploadId=" in request.query:
                upload = stack.enter_context(self._objects.upload())  # for moto to put the parts together
            with upload.given_to_moto() if upload else contextlib.nullcontext():
                response = ask()
            if response.status < 300:  # on disk before the client hears of it
                self._objects.after_request(request, region=access.region, upload=upload)
            elif upload:
                self._objects.undo(request.path)
        return buckets.without_version(response, request.path)


async def _pass_on(send: Send, response: aws_services.Response) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})


def _without_signature(request: Request) -> Request:
    """Return a request to S3 as if it had not been presigned."""
    query = "&".join(part for part in request.query.split("&") if not part.startswith(_PRESIGNED))
    query, given = upload_bodies.split_headers(query)
    return dataclasses.replace(request, query=query, headers={**request.headers, **given})


def _too_large(limit: int) -> ServiceError:
    message = f"The request body is larger than the limit of {limit:,} bytes."
    return ServiceError("ValidationError", message, status=413)


def _check_repeated(names: list[str]) -> None:
    """Refuse headers that occur twice and say who sends what: another reader could understand them in another way."""
    repeated = {name for name in names if names.count(name) > 1 and (name in _SINGLE or name.startswith("x-amz"))}
    if repeated:
        raise ServiceError("InvalidRequest", f"The request has more than one header {', '.join(sorted(repeated))}.")


def _unexpected(error: Exception, request: Request, home: Path) -> ServiceError:
    """Return the error to answer with when the server fails, above all when its disk does."""
    if isinstance(error, NotImplementedError):  # moto knows the action and does not have it
        form = parse_qs(request.body.decode(errors="replace"))
        action = request.headers.get("x-amz-target", "").rpartition(".")[2] or form.get("Action", [request.path])[0]
        return ServiceError("UnsupportedOperation", f"local_sagemaker has no {action}: moto {MOTO} lacks it.")
    if isinstance(error, RecursionError):
        return ServiceError("SerializationException", "The request is nested too deeply.")
    is_storage = isinstance(error, sqlite3.OperationalError)
    if is_storage or (isinstance(error, OSError) and error.errno in _STORAGE_ERRORS):
        return ServiceError(
            "InsufficientStorage",
            f"The home folder {home} cannot be written: {getattr(error, 'strerror', None) or error}. Nothing was "
            "changed. Make room on its disk, or give the server's user the right to write there.",
            status=507,
        )
    reason = f"The server failed: {type(error).__name__}: {error}. See its log."
    return ServiceError("InternalFailure", reason, status=500)


async def _send_error(send: Send, error: ServiceError, headers: Mapping[str, str]) -> None:
    content_type, body = errors.document(error, headers)
    answer = [(b"content-type", content_type.encode()), (b"x-amzn-errortype", error.code.encode())]
    if "expect" in headers:  # the client keeps the body that was announced, and what follows would be taken for it
        answer.append((b"connection", b"close"))
    await send_response(send, error.status, answer, body)


def configure_logging() -> None:
    """Write the server's log to standard error."""
    level = os.environ.get("LOCAL_SAGEMAKER_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")

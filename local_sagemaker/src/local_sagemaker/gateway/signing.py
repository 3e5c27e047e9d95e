"""Verifies AWS signatures on incoming requests, with botocore's own signers."""

import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.credentials import Credentials

from local_sagemaker.asgi import Request, as_sent
from local_sagemaker.errors import ServiceError
from local_sagemaker.gateway import signing_v2
from local_sagemaker.settings import DEFAULT_REGION, HOST, MAX_CLOCK_SKEW_SECONDS, MAX_PRESIGNED_SECONDS

_CLOCK_SKEW = timedelta(seconds=MAX_CLOCK_SKEW_SECONDS)
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, *"
    r"SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_ODD_SPACE = re.compile(r"[^\S ]")
_PATH = re.compile(r"/[^?#\s]*")  # of another one, botocore would take a part for the host, the query or nothing


@dataclass(frozen=True)
class Scope:
    """Whom a verified request is for."""

    service: str  # signing name of the service, such as `sagemaker` or `s3`
    region: str  # AWS Region of the request


class _Headers(dict[str, str]):
    """The headers that a client says it signed, as botocore's signers read them: its own take most of the time."""

    def __init__(self, names: str, headers: Mapping[str, str]) -> None:
        super().__init__({name: as_sent(headers[name]) for name in names.split(";") if name in headers})
        self.names = names

    def get_all(self, name: str) -> list[str]:
        return [self[name]]


class _Signer(SigV4Auth):
    """botocore's signer, of the headers that the client says it signed; the body's hash is left to us."""

    def headers_to_sign(self, request: Any) -> Any:
        return request.headers

    def signed_headers(self, headers_to_sign: _Headers) -> str:
        return headers_to_sign.names

    def payload(self, request: Any) -> str:
        return ""


class _S3Signer(_Signer, S3SigV4Auth):
    """The same for S3, whose paths are signed as they are."""


class _Claim(NamedTuple):
    access_key: str
    date: str
    region: str
    service: str
    signed_headers: str  # names, between semicolons
    signature: str
    timestamp: str
    query: str
    payload_hash: str | None
    lifetime: timedelta


def load_credentials(home: Path) -> Credentials:
    """Return the home folder's random credentials, creating them on first use, readable by the owner only."""
    path = home / "credentials.json"
    if not path.exists():
        document = {
            "access_key": "LOCAL" + secrets.token_hex(8).upper(),
            "secret_key": secrets.token_urlsafe(30),
        }
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.touch(mode=0o600)
        with temporary.open("w") as file:
            file.write(json.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    stored = json.loads(path.read_text())
    return Credentials(stored["access_key"], stored["secret_key"])


def client_environment(credentials: Credentials, port: int) -> dict[str, str]:
    """Return the variables that point boto3, the SDK and the AWS CLI at the server."""
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A proxy that the machine may have configured cannot reach this machine's own address.
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def check_head(request: Request, credentials: Credentials) -> tuple[Scope, Callable[[str], None]]:
    """Check all of a request's signature that can be checked before its body is there.

    Returns:
        The request's scope, and a function that takes the SHA-256 of the whole body, in hexadecimal digits, and checks
        the rest.

    Raises:
        ServiceError: Status 403, by this or the function that it returns, if the request is unsigned, wrongly signed,
            expired or altered.
    """
    headers = request.headers
    if request.method != request.method.upper():  # botocore signs any method in upper case
        raise ServiceError("MethodNotAllowed", f"There is no method {request.method!r}.", status=405)
    if not _PATH.fullmatch(request.path):
        raise ServiceError("AccessDenied", f"The path {request.path!r} is not that of a signed request.", status=403)
    if "AWSAccessKeyId=" in request.query:
        signing_v2.verify(request, credentials)
        return Scope("s3", DEFAULT_REGION), lambda sha256: None
    claim = _presigned_claim(request.query) or _header_claim(headers, request.query)
    if claim is None:
        raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
    if not hmac.compare_digest(claim.access_key.encode(), credentials.access_key.encode()):
        code = "InvalidAccessKeyId" if claim.service == "s3" else "UnrecognizedClientException"
        raise ServiceError(code, "The security token included in the request is invalid.", status=403)
    _check_time(claim)
    unsigned = sorted(name for name in headers if _must_be_signed(name) and name not in claim.signed_headers.split(";"))
    if unsigned:
        message = f"There were headers present in the request which were not signed: {', '.join(unsigned)}"
        raise ServiceError("AccessDenied", message, status=403)
    for name in claim.signed_headers.split(";"):
        if _ODD_SPACE.search(as_sent(headers.get(name, ""))):
            raise ServiceError("AccessDenied", f"The header {name} holds a control character.", status=403)
    declared = headers.get("x-amz-content-sha256", "") if claim.payload_hash is None else ""
    states_body = claim.payload_hash or declared  # then the signature is of what it says of the body
    if states_body:
        _check_signature(claim, request, states_body, credentials)

    def check_body(sha256: str) -> None:
        if not states_body:
            _check_signature(claim, request, sha256, credentials)
            return
        is_hash = declared and not declared.startswith(("UNSIGNED", "STREAMING"))
        if is_hash and not hmac.compare_digest(declared.encode(), sha256.encode()):
            message = "The body does not match x-amz-content-sha256."
            raise ServiceError("XAmzContentSHA256Mismatch", message, status=403)

    return Scope(claim.service, claim.region), check_body


def _check_signature(claim: _Claim, request: Request, payload_hash: str, credentials: Credentials) -> None:
    signature = _signature(claim, request, payload_hash, credentials)
    if not hmac.compare_digest(signature.encode(), claim.signature.encode()):
        raise signing_v2.mismatch()


def _header_claim(headers: Mapping[str, str], query: str) -> _Claim | None:
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    if match is None:
        return None
    access_key, date, region, service, signed, signature = match.groups()
    moment = headers.get("x-amz-date", "")
    return _Claim(access_key, date, region, service, signed, signature, moment, query, None, _CLOCK_SKEW)


def _must_be_signed(name: str) -> bool:
    return name == "host" or name.startswith(("x-amz-", "x-amzn-sagemaker-"))


def _presigned_claim(query: str) -> _Claim | None:
    if "X-Amz-Signature=" not in query:
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    # A repeated parameter could mean one thing to the signature and another to the service.
    if len(parameters) != len(pairs):
        return None
    try:
        access_key, date, region, service, _ = parameters["X-Amz-Credential"].split("/")
        lifetime = int(parameters["X-Amz-Expires"])
        if not 0 < lifetime <= MAX_PRESIGNED_SECONDS:
            raise ServiceError(
                "AuthorizationQueryParametersError",
                f"X-Amz-Expires must be between 1 and {MAX_PRESIGNED_SECONDS} seconds.",
            )
        signed, signature, moment = (parameters[f"X-Amz-{name}"] for name in ("SignedHeaders", "Signature", "Date"))
        rest = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
        until = timedelta(seconds=lifetime)
        return _Claim(access_key, date, region, service, signed, signature, moment, rest, "UNSIGNED-PAYLOAD", until)
    except (KeyError, ValueError):
        return None


def _check_time(claim: _Claim) -> None:
    try:
        signed_at = datetime.fromisoformat(claim.timestamp if _TIMESTAMP.fullmatch(claim.timestamp) else "")
    except ValueError:
        signed_at = datetime.fromtimestamp(0, UTC)
    age = datetime.now(UTC) - signed_at
    if age > claim.lifetime or -age > _CLOCK_SKEW or not claim.timestamp.startswith(claim.date):
        code = "RequestTimeTooSkewed" if claim.service == "s3" else "InvalidSignatureException"
        raise ServiceError(code, f"Signature expired: {claim.timestamp} is too far from now.", status=403)


def _signature(claim: _Claim, request: Request, payload_hash: str, credentials: Credentials) -> str:
    signer_type = _S3Signer if claim.service == "s3" else _Signer
    signer = signer_type(credentials, claim.service, claim.region)
    headers = request.headers
    url = f"http://{headers.get('host', '')}{request.path}" + (f"?{claim.query}" if claim.query else "")
    signed, context = _Headers(claim.signed_headers, headers), {"timestamp": claim.timestamp}
    again = SimpleNamespace(method=request.method, url=url, params={}, headers=signed, context=context)
    canonical = signer.canonical_request(again).rpartition("\n")[0] + "\n" + payload_hash
    signature: str = signer.signature(signer.string_to_sign(again, canonical), again)
    return signature

"""Verifies AWS Signature Version 4 on incoming requests, with botocore's own signer."""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_sagemaker.errors import ServiceError

ALLOWED_CLOCK_SKEW = timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request,\s*"
    r"SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Scope:
    """Whom a verified request is for.

    Attributes:
        service: Signing name of the service, such as ``sagemaker`` or ``s3``.
        region: AWS Region of the request.
    """

    service: str
    region: str


@dataclass(frozen=True)
class _Claim:
    access_key: str
    date: str
    region: str
    service: str
    signed_headers: frozenset[str]
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
        temporary.write_text(json.dumps(document))
        temporary.replace(path)
    stored = json.loads(path.read_text())
    return Credentials(stored["access_key"], stored["secret_key"])


def verify(
    *, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, credentials: Credentials
) -> Scope:
    """Verify a request's signature and return its scope.

    Args:
        method: HTTP method.
        path: Path as sent, percent-encoded.
        query: Query string as sent.
        headers: Headers, names in lower case.
        body: Whole body.
        credentials: The only credentials that may sign.

    Raises:
        ServiceError: Status 403, if the request is unsigned, wrongly signed, expired or altered.
    """
    claim = _presigned_claim(query) or _header_claim(headers, query)
    if claim is None:
        raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
    if not hmac.compare_digest(claim.access_key.encode(), credentials.access_key.encode()):
        code = "InvalidAccessKeyId" if claim.service == "s3" else "UnrecognizedClientException"
        raise ServiceError(code, "The security token included in the request is invalid.", status=403)
    _check_time(claim)
    declared = headers.get("x-amz-content-sha256")
    if (
        claim.payload_hash is None
        and declared
        and not declared.startswith(("UNSIGNED", "STREAMING"))
        and not hmac.compare_digest(declared, hashlib.sha256(body).hexdigest())
    ):
        raise ServiceError("XAmzContentSHA256Mismatch", "The body does not match x-amz-content-sha256.", status=403)
    if not hmac.compare_digest(_signature(claim, method, path, headers, body, credentials), claim.signature):
        raise ServiceError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
            status=403,
        )
    return Scope(claim.service, claim.region)


def _header_claim(headers: Mapping[str, str], query: str) -> _Claim | None:
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    if match is None:
        return None
    access_key, date, region, service, signed_headers, signature = match.groups()
    return _Claim(
        access_key,
        date,
        region,
        service,
        frozenset(signed_headers.split(";")),
        signature,
        headers.get("x-amz-date", ""),
        query,
        None,
        ALLOWED_CLOCK_SKEW,
    )


def _presigned_claim(query: str) -> _Claim | None:
    if "X-Amz-Signature=" not in query:
        return None
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    try:
        access_key, date, region, service, _ = parameters["X-Amz-Credential"].split("/")
        signature = parameters.pop("X-Amz-Signature")
        return _Claim(
            access_key,
            date,
            region,
            service,
            frozenset(parameters["X-Amz-SignedHeaders"].split(";")),
            signature,
            parameters["X-Amz-Date"],
            urlencode(parameters, quote_via=quote, safe="-_.~"),
            "UNSIGNED-PAYLOAD",
            timedelta(seconds=int(parameters["X-Amz-Expires"])),
        )
    except (KeyError, ValueError):
        return None


def _check_time(claim: _Claim) -> None:
    try:
        signed_at = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        signed_at = datetime.fromtimestamp(0, UTC)
    age = datetime.now(UTC) - signed_at
    if age > claim.lifetime or -age > ALLOWED_CLOCK_SKEW or not claim.timestamp.startswith(claim.date):
        code = "RequestTimeTooSkewed" if claim.service == "s3" else "InvalidSignatureException"
        raise ServiceError(code, f"Signature expired: {claim.timestamp} is too far from now.", status=403)


def _signature(
    claim: _Claim, method: str, path: str, headers: Mapping[str, str], body: bytes, credentials: Credentials
) -> str:
    signer_type = S3SigV4Auth if claim.service == "s3" else SigV4Auth
    signer = signer_type(credentials, claim.service, claim.region)
    url = f"http://{headers.get('host', '')}{path}" + (f"?{claim.query}" if claim.query else "")
    signed = {name: headers[name] for name in claim.signed_headers if name in headers}
    request = AWSRequest(method=method, url=url, headers=signed, data=body)
    request.context["timestamp"] = claim.timestamp
    canonical = signer.canonical_request(request)
    if claim.payload_hash:  # a presigned URL signs this text in the place of the body's hash
        canonical = canonical.rpartition("\n")[0] + "\n" + claim.payload_hash
    return signer.signature(signer.string_to_sign(request, canonical), request)

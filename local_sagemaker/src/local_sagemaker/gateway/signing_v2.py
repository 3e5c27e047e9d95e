"""Verifies URLs that boto3 presigns by default in us-east-1: AWS Signature Version 2, S3 only."""

import hmac
import time
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import HmacV1QueryAuth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local_sagemaker.asgi import Request
from local_sagemaker.errors import ServiceError

_OWN_PARAMETERS = frozenset({"AWSAccessKeyId", "Signature", "Expires", "content-type", "content-md5", "x-id"})


class _Signer(HmacV1QueryAuth):
    """botocore's signer, at the moment of expiry that a URL names."""

    def _get_date(self) -> str:
        return str(self._expires)


def verify(request: Request, credentials: Credentials) -> None:
    """Verify the presigned URL of a request; the errors are those of ``signing.check_head``."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    parameters = dict(pairs)
    # What this signature does not cover must not be there: it could have been added on the way.
    covered = _OWN_PARAMETERS | set(HmacV1QueryAuth.QSAOfInterest)
    uncovered = sorted(name for name in parameters if name not in covered and not name.startswith("x-amz-"))
    expires = parameters.get("Expires", "")
    if len(parameters) != len(pairs) or uncovered or not expires.isdecimal() or request.method == "POST":
        raise ServiceError(
            "AccessDenied",
            "The query string has parameters that its signature does not cover. Presign with signature_version='s3v4'.",
            status=403,
        )
    if not hmac.compare_digest(parameters.get("AWSAccessKeyId", "").encode(), credentials.access_key.encode()):
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise ServiceError("InvalidAccessKeyId", message, status=403)
    if time.time() > int(expires):
        raise ServiceError("AccessDenied", "Request has expired", status=403)
    given = dict(request.headers) | parameters
    names = (name for name in given if name.startswith("x-amz-") or name in ("content-type", "content-md5"))
    signed = {name: given[name] for name in names}
    path = request.path.rstrip("/") + "/" if request.path.count("/") == 1 else request.path
    split = urlsplit(f"http://host{path}?{request.query}")  # a bucket's name is signed with a slash, and sent without
    signature = _Signer(credentials, expires).get_signature(request.method, split, HTTPHeaders.from_dict(signed))
    if not hmac.compare_digest(signature.encode(), parameters.get("Signature", "").encode()):
        raise mismatch()


def mismatch() -> ServiceError:
    """Return the error of a wrong signature, by either version."""
    return ServiceError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        status=403,
    )

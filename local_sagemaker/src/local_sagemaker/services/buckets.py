"""S3 buckets and their settings on disk: the requests that made each bucket what it is.

A bucket's record holds its creation and the latest successful request per setting (versioning, policy, tagging …).
When the server starts they are sent to moto again.
"""

import dataclasses
import re
from urllib.parse import parse_qsl

from botocore.utils import parse_timestamp

from local_sagemaker.asgi import Request
from local_sagemaker.errors import ServiceError
from local_sagemaker.records import Records
from local_sagemaker.services import aws_services

BUCKET = "s3_bucket"
_MULTIPART = {"partNumber", "uploadId", "uploads"}
SETTINGS = {
    *("accelerate", "acl", "cors", "encryption", "lifecycle", "object-lock", "ownershipControls", "policy"),
    *("publicAccessBlock", "tagging", "versioning", "website"),
}
_OBJECT_PARTS = {"acl", "legal-hold", "retention", "select", "select-type", "tagging"} | _MULTIPART
# What moto would answer with a list of objects, the object itself or an error of its own.
_UNREADABLE = {
    *("abac", "analytics", "annotation", "intelligent-tiering", "metadataConfiguration", "metadataTable", "metrics"),
    *("requestPayment", "torrent"),
}
# Names of buckets, by "General purpose bucket naming rules" of the S3 user guide.
_NAME = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-|\d+(?:\.\d+){3}$)(?!.*(?:\.\.|-s3alias$|--ol-s3$|\.mrap$|--x-s3$|--table-s3$))"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)
_PARAMETERS = frozenset({"x-id", "versionId", "AWSAccessKeyId", "Signature", "Expires"})
_HEADERS = (
    *("content-type", "x-amz-acl", "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership"),
    "x-amz-grant-",  # and what follows
)


def check_supported(request: Request) -> None:
    """Refuse requests whose effect would not outlive the server, by ``NotImplemented`` (501) and the setting's name."""
    method = request.method
    bucket, _, key = request.path.lstrip("/").partition("/")
    if method == "PUT" and bucket and not request.query and not key and not _NAME.fullmatch(bucket):
        raise ServiceError("InvalidBucketName", f"The specified bucket is not valid: {bucket}.")
    names = {name for name, _ in parse_qsl(request.query, keep_blank_values=True) if not name.startswith("X-Amz-")}
    if "%0A" in request.path.upper():  # moto finds no such path
        raise ServiceError("NotImplemented", "local_sagemaker's S3 takes no keys with a line break.", status=501)
    if method in ("GET", "HEAD", "OPTIONS"):
        unknown = names & _UNREADABLE
    else:
        unknown = names - (_OBJECT_PARTS if key else SETTINGS | {"delete"}) - _PARAMETERS
    if unknown or (method == "POST" and not names - _PARAMETERS):
        what = ", ".join(sorted(unknown)) or "form uploads"
        raise ServiceError("NotImplemented", f"local_sagemaker's S3 does not support {what}.", status=501)


def check_upload(request: Request) -> None:
    """Refuse a part, or the end, of a multipart upload that is not under way: moto fails on it."""
    upload = dict(parse_qsl(request.query)).get("uploadId")
    bucket = aws_services.s3_backend().buckets.get(request.path.lstrip("/").partition("/")[0])
    if upload and bucket and request.method in ("POST", "PUT") and upload not in bucket.multiparts:
        message = (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed."
        )
        raise ServiceError("NoSuchUpload", message, status=404)


def check_form(request: Request) -> None:
    """Refuse a presigned POST (501), which a browser sends as a form whose signature is in its body."""
    is_bucket = "/" not in request.path.strip("/")
    is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
    if request.method == "POST" and is_bucket and is_form:
        raise ServiceError("NotImplemented", "local_sagemaker's S3 does not support form uploads.", status=501)


def without_version(response: aws_services.Response, path: str) -> aws_services.Response:
    """Return the response to a request without the version ``null``, which moto tells of buckets without versions."""
    bucket = aws_services.s3_backend().buckets.get(path.lstrip("/").partition("/")[0])
    if bucket is None or bucket.versioning_status:
        return response
    headers = [pair for pair in response.headers if pair != (b"x-amz-version-id", b"null")]
    return dataclasses.replace(response, headers=headers)


class Buckets:
    """Keeps moto's buckets and their settings on disk."""

    def __init__(self, records: Records) -> None:
        """Rebuild moto's buckets from the records."""
        self._records = records
        backend = aws_services.s3_backend()
        for name, record in records.all(BUCKET):
            # Last the policy: it may forbid the others.
            requests = sorted(record["requests"].items(), key=lambda item: item[0] == "policy")
            for _, request in requests:
                aws_services.send_document("s3", request)
            backend.buckets[name].creation_date = parse_timestamp(record["created"])

    def has(self, name: str) -> bool:
        """Return whether a bucket exists."""
        return self._records.get(BUCKET, name) is not None

    def keep(self, name: str, request: Request, *, region: str) -> None:
        """Write down a successful request that created, changed or deleted a bucket; the query names the setting."""
        bucket = aws_services.s3_backend().buckets.get(name)
        if bucket is None:
            self._records.delete(BUCKET, name)
            return
        existing = self._records.get(BUCKET, name)
        record = existing or {"requests": {}}
        setting = next((part for part, _ in parse_qsl(request.query, keep_blank_values=True) if part in SETTINGS), "")
        if setting or not record["requests"]:  # creating a bucket again changes nothing
            record["requests"].pop(setting, None)
            if request.method == "PUT":
                headers = {key: text for key, text in request.headers.items() if key.startswith(_HEADERS)}
                kept = dataclasses.replace(request, path=f"/{name}", query=setting, headers=headers)
                record["requests"][setting] = aws_services.to_document(kept, region)
        try:
            self._records.put(BUCKET, name, record | {"created": bucket.creation_date.isoformat()})
        except BaseException:
            if not existing:
                del aws_services.s3_backend().buckets[name]
            raise

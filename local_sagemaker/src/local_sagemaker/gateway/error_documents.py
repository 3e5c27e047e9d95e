"""Errors in the form that the called service uses, so that its clients find code and message in them."""

import json
import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from local_sagemaker.errors import ServiceError

_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_JSON = "application/x-amz-json-1.1"


def write(error: ServiceError, headers: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the content type and the body that tell a client of an error.

    The signed scope names the service. Requests without it are to S3, by the old signature or a presigned URL.
    """
    signed = _SERVICE.search(headers.get("authorization", ""))
    code, message = error.code, escape(error.message)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return "text/xml", f"<ErrorResponse>{body}</ErrorResponse>".encode()
    if signed is None or signed[1] == "s3":
        return "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    document = {"__type": code, "message": error.message, "Message": error.message, **error.fields}
    return _JSON, json.dumps(document).encode()

"""Bodies of S3 uploads: takes chunked ones apart and checks what the client says of its bytes."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from awscrt import checksums

from local_sagemaker.errors import ServiceError

_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def split_headers(query: str) -> tuple[str, dict[str, str]]:
    """Take the headers out of the query of a presigned URL, where SDKs put them, and return the rest and them.

    Checksums are dropped: an SDK cannot know what will be uploaded when it signs, the one for JavaScript signs that of
    an empty body, and S3 is reported to ignore them (issue 480 of aws/aws-sdk).
    """
    pairs = [part.partition("=") for part in query.split("&") if part]
    headers = {name.lower(): unquote(value) for name, _, value in pairs if name.lower().startswith("x-amz-")}
    rest = "&".join("".join(pair) for pair in pairs if not pair[0].lower().startswith("x-amz-"))
    ignored = ("x-amz-checksum-", "x-amz-sdk-checksum-")
    return rest, {name: value for name, value in headers.items() if not name.startswith(ignored)}


def decode(method: str, query: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a request without chunks and trailer, after checking its checksums.

    Args:
        method: HTTP method.
        query: Query string.
        headers: Headers of a verified request, names in lower case.
        body: Body as sent.

    Raises:
        ServiceError: If the chunks are malformed, or a checksum or the length is not the bytes' own.
    """
    fields = dict(headers)
    declared = fields.get("x-amz-content-sha256", "")
    if declared.startswith("STREAMING-") and declared != _TRAILER:
        raise ServiceError(
            "NotImplemented", f"local_sagemaker does not read {declared} bodies. Turn chunk signing off.", status=501
        )
    if declared == _TRAILER:
        body, trailer = _without_chunks(body)
        promised = fields.pop("x-amz-trailer", "").lower()
        if set(trailer) != ({promised} if promised else set()):
            raise ServiceError("MalformedTrailerError", "The trailer is not the one that x-amz-trailer names.")
        if fields.pop("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
            message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length header."
            raise ServiceError("IncompleteBody", message)
        fields |= trailer | {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        encodings = [item.strip() for item in fields.pop("content-encoding", "").split(",")]
        kept = ", ".join(item for item in encodings if item and item != "aws-chunked")
        fields |= {"content-encoding": kept} if kept else {}
    if not (method == "POST" and "uploadId=" in query):  # completing an upload states the checksum of the object
        _check(fields, body)
    return fields, body


def _without_chunks(body: bytes) -> tuple[bytes, dict[str, str]]:
    data, position = bytearray(), 0
    try:
        while True:
            end = body.index(b"\r\n", position)
            size = int(body[position:end], 16)
            if size < 0 or end + 2 + size > len(body):
                raise ValueError(size)
            position = end + 2
            if size == 0:
                break
            data += body[position : position + size]
            position += size
            if body[position : position + 2] != b"\r\n":
                raise ValueError(position)
            position += 2
        lines = [line for line in body[position:].decode("ascii").split("\r\n") if line]
        trailer = dict(line.split(":", 1) for line in lines)
    except (ValueError, UnicodeDecodeError):
        raise ServiceError("IncompleteBody", "The body's chunks are malformed.") from None
    return bytes(data), {name.strip().lower(): value.strip() for name, value in trailer.items()}


def _check(headers: Mapping[str, str], body: bytes) -> None:
    for name, value in headers.items():
        algorithm = _ALGORITHMS.get(name)
        if algorithm and not _equal(value, algorithm(body)):
            what = "Content-MD5" if name == "content-md5" else name.removeprefix("x-amz-checksum-").upper()
            raise ServiceError("BadDigest", f"The {what} you specified did not match the calculated checksum.")


def _equal(text: str, digest: bytes) -> bool:
    try:
        return base64.b64decode(text, validate=True) == digest
    except binascii.Error:
        return False


_ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-crc32c": lambda body: checksums.crc32c(body).to_bytes(4, "big"),
    "x-amz-checksum-crc64nvme": lambda body: checksums.crc64nvme(body).to_bytes(8, "big"),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}

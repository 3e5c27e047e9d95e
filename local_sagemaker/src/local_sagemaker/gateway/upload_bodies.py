"""Bodies of S3 uploads: takes chunked ones apart and checks what the client says of its bytes."""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import httptools

from local_sagemaker.asgi import Request
from local_sagemaker.checksums import ALGORITHMS
from local_sagemaker.errors import ServiceError
from local_sagemaker.settings import MAX_CHUNK_LINE_BYTES

_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CHECKSUM = "x-amz-checksum-"
_NO_CHECKSUMS = {f"{_CHECKSUM}{what}" for what in ("algorithm", "mode", "type")}


def split_headers(query: str) -> tuple[str, dict[str, str]]:
    """Take the headers out of the query of a presigned URL, where SDKs put them, and return the rest and them.

    Checksums are dropped: an SDK cannot know what will be uploaded when it signs, the one for JavaScript signs that of
    an empty body, and S3 is reported to ignore them (issue 480 of aws/aws-sdk).
    """
    pairs = [part.partition("=") for part in query.split("&") if part]
    headers = {name.lower(): unquote(value) for name, _, value in pairs if name.lower().startswith("x-amz-")}
    rest = "&".join("".join(pair) for pair in pairs if not pair[0].lower().startswith("x-amz-"))
    ignored = (_CHECKSUM, "x-amz-sdk-checksum-")
    return rest, {name: value for name, value in headers.items() if not name.startswith(ignored)}


def decode(request: Request) -> Request:
    """Return a request without chunks and trailer; the errors are those of ``Payload``."""
    decoded = io.BytesIO()
    completes = request.method == "POST" and "uploadId=" in request.query  # which states the checksum of the object
    payload = Payload(request.headers, decoded.write, check=not completes)
    payload.feed(request.body)
    return replace(request, headers=payload.finish(), body=decoded.getvalue())


class Payload:
    """A body that is decoded and checked while it comes.

    Attributes:
        size: How many bytes it has so far, without chunks and trailer.
    """

    def __init__(self, headers: Mapping[str, str], write: Callable[[bytes], object], *, check: bool = True) -> None:
        """Begin a body, whose bytes are written without chunks and trailer; ``check`` says if the checksums are of it.

        Raises:
            ServiceError: If the body comes in a form, or with a checksum, that is not read here.
        """
        _check_algorithms(headers)
        self._fields = dict(headers)
        declared = headers.get("x-amz-content-sha256", "")
        if declared.startswith("STREAMING-") and declared != _TRAILER:
            raise ServiceError(
                "NotImplemented",
                f"local_sagemaker does not read {declared} bodies. Turn chunk signing off.",
                status=501,
            )
        self.size = 0
        self._write = write
        self._sent = hashlib.sha256()
        self._promised = headers.get("x-amz-trailer", "").lower() if declared == _TRAILER else ""
        self._wanted = f"{_CHECKSUM}{headers.get('x-amz-sdk-checksum-algorithm', '').lower()}"
        names = {*headers, self._promised, self._wanted, "content-md5"} if check else set()
        self._checksums: dict[str, Any] = {name: ALGORITHMS[name]() for name in names & ALGORITHMS.keys()}
        self._chunks = _Chunks(self._take) if declared == _TRAILER else None

    @property
    def sha256(self) -> str:
        """Hash of the bytes as they were sent, in hexadecimal digits."""
        return self._sent.hexdigest()

    @property
    def md5(self) -> str:
        """Hash of the bytes without chunks and trailer, in hexadecimal digits."""
        return str(self._checksums["content-md5"].hexdigest())

    def feed(self, data: bytes) -> None:
        """Take the next bytes; chunks that are malformed are a ``ServiceError``."""
        self._sent.update(data)
        (self._chunks.feed if self._chunks else self._take)(data)

    def finish(self) -> dict[str, str]:
        """End the body and return the headers of a request that has it without chunks and trailer.

        Raises:
            ServiceError: If something is missing, or a checksum or the length is not the bytes' own.
        """
        fields = self._fields
        if self._chunks:
            trailer = self._chunks.finish()
            fields.pop("x-amz-trailer", "")
            if set(trailer) != ({self._promised} if self._promised else set()):
                raise ServiceError("MalformedTrailerError", "The trailer is not the one that x-amz-trailer names.")
            if fields.pop("x-amz-decoded-content-length", str(self.size)) != str(self.size):
                message = (
                    "You did not provide the number of bytes specified by the x-amz-decoded-content-length header."
                )
                raise ServiceError("IncompleteBody", message)
            fields |= trailer | {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
            encodings = [item.strip() for item in fields.pop("content-encoding", "").split(",")]
            kept = ", ".join(item for item in encodings if item and item != "aws-chunked")
            fields |= {"content-encoding": kept} if kept else {}
        for name, checksum in self._checksums.items():
            if name in fields and fields[name] != base64.b64encode(checksum.digest()).decode():
                what = "Content-MD5" if name == "content-md5" else name.removeprefix(_CHECKSUM).upper()
                raise ServiceError("BadDigest", f"The {what} you specified did not match the calculated checksum.")
        if self._wanted in self._checksums:
            fields[self._wanted] = base64.b64encode(self._checksums[self._wanted].digest()).decode()
        return fields

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        for checksum in self._checksums.values():
            checksum.update(data)
        self._write(data)


class _Chunks:
    """Takes a chunked body apart while it comes; chunks and trailer have the form of HTTP's own."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._parts: list[bytes] = []
        self._trailer: dict[str, str] = {}
        self._ends = self._waiting = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        self._trailer.clear()

    def feed(self, data: bytes) -> None:
        """Take the next bytes, so few at a time that neither a line nor what waits to be written grows large."""
        for start in range(0, len(data), MAX_CHUNK_LINE_BYTES):
            piece = data[start : start + MAX_CHUNK_LINE_BYTES]
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserError as error:
                raise _malformed() from error
            self._waiting = 0 if self._parts else self._waiting + len(piece)
            if self._waiting > MAX_CHUNK_LINE_BYTES:
                raise _malformed()
            for part in self._parts:
                self._write(part)
            self._parts.clear()

    def finish(self) -> dict[str, str]:
        """Return the names and values of the trailer."""
        if not self._ends:
            self.feed(b"\r\n")  # some leave the last empty line out
        if self._ends != 1:
            raise _malformed()
        return self._trailer

    def on_message_begin(self) -> None:
        if self._ends:  # what follows the trailer would be another request
            raise _malformed()

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._trailer[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_message_complete(self) -> None:
        self._ends += 1


def _check_algorithms(headers: Mapping[str, str]) -> None:
    """Refuse a checksum that is not computed here before anything is stored."""
    asked = (headers.get(f"x-amz-{name}") for name in ("checksum-algorithm", "sdk-checksum-algorithm"))
    stated = {*headers, headers.get("x-amz-trailer", "").lower()} - _NO_CHECKSUMS
    names = {f"{_CHECKSUM}{name.lower()}" for name in asked if name}
    names |= {name for name in stated if name.startswith(_CHECKSUM)}
    if unknown := sorted(names - ALGORITHMS.keys()):
        algorithms = ", ".join(name.removeprefix(_CHECKSUM).upper() for name in unknown)
        raise ServiceError("NotImplemented", f"local_sagemaker computes no {algorithms} of an upload.", status=501)


def _malformed() -> ServiceError:
    return ServiceError("IncompleteBody", "The body's chunks are malformed.")

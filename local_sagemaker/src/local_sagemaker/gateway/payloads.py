"""Bodies of S3 uploads: takes chunked ones apart and checks what the client says of its bytes."""

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from local_sagemaker.checksums import ALGORITHMS
from local_sagemaker.errors import ServiceError
from local_sagemaker.settings import MAX_CHUNK_LINE_BYTES

_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CHECKSUM = "x-amz-checksum-"
_NO_CHECKSUMS = {f"{_CHECKSUM}{what}" for what in ("algorithm", "mode", "type")}
_BREAK = b"\r\n"


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


def decode(method: str, query: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a request without chunks and trailer; the errors are those of ``Payload``."""
    # Completing an upload states the checksum of the object.
    decoded = io.BytesIO()
    payload = Payload(headers, decoded.write, check=not (method == "POST" and "uploadId=" in query))
    payload.feed(body)
    return payload.finish(), decoded.getvalue()


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
        """Take the next bytes.

        Raises:
            ServiceError: If the chunks are malformed.
        """
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
            if name in fields and not _equal(fields[name], checksum.digest()):
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
    """Takes a chunked body apart while it comes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._rest = b""
        self._left = 0  # of the chunk, with the line break at its end
        self._in_trailer = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        data = self._rest + data
        position = 0
        while not self._in_trailer:
            if self._left > len(_BREAK):
                part = data[position : position + self._left - len(_BREAK)]
                self._write(part)
                self._left -= len(part)
                position += len(part)
            if self._left > len(_BREAK) or len(data) - position < self._left:
                break
            if self._left and data[position : position + len(_BREAK)] != _BREAK:
                raise _malformed()
            position += self._left
            self._left = 0
            end = data.find(_BREAK, position)
            if end < 0:
                break
            try:
                size = int(data[position:end], 16)
            except ValueError:
                raise _malformed() from None
            if size < 0:
                raise _malformed()
            position = end + len(_BREAK)
            self._left = size + len(_BREAK) if size else 0
            self._in_trailer = size == 0
        self._rest = data[position:]
        if len(self._rest) > MAX_CHUNK_LINE_BYTES:
            raise _malformed()

    def finish(self) -> dict[str, str]:
        """Return the names and values of the trailer."""
        if not self._in_trailer:
            raise _malformed()
        try:
            lines = [line for line in self._rest.decode("ascii").split("\r\n") if line]
            trailer = dict(line.split(":", 1) for line in lines)
        except ValueError:
            raise _malformed() from None
        return {name.strip().lower(): value.strip() for name, value in trailer.items()}


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


def _equal(text: str, digest: bytes) -> bool:
    try:
        return base64.b64decode(text, validate=True) == digest
    except binascii.Error:
        return False

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.asgi import Request
from local_sagemaker.errors import ServiceError
from local_sagemaker.gateway import upload_bodies


def decode(headers, body, *, method="PUT", query=""):
    decoded = upload_bodies.decode(Request(method, "/bucket/key", query, headers, body))
    return decoded.headers, decoded.body


def chunked(body, *, size=5, trailer="x-amz-checksum-crc32", checksum=None):
    """A body in chunks with a trailer, as botocore sends it, and its headers."""
    checksum = checksum or base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": trailer,
        "x-amz-decoded-content-length": str(len(body)),
        "content-encoding": "aws-chunked",
    }
    return headers, encoded + f"0\r\n{trailer}:{checksum}\r\n\r\n".encode()


@given(st.binary(max_size=100), st.integers(1, 30))
def test_chunks_become_one_body_with_its_checksum(body, size):
    headers, decoded = decode(*chunked(body, size=size))
    assert decoded == body
    assert base64.b64decode(headers["x-amz-checksum-crc32"]) == zlib.crc32(body).to_bytes(4, "big")
    assert "content-encoding" not in headers
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("change", [lambda body: body[:-2], lambda body: body[:-4] + b"  \r\n\r\n"])
def test_the_last_empty_line_may_lack_and_blanks_may_follow_the_trailer(change):
    headers, body = chunked(b"hello world")
    assert decode(headers, change(body))[1] == b"hello world"


@given(st.binary(max_size=100), st.integers(1, 7))
def test_a_body_may_come_in_pieces(body, size):
    headers, sent = chunked(body)
    parts = []
    payload = upload_bodies.Payload(headers, parts.append)
    for start in range(0, len(sent), size):
        payload.feed(sent[start : start + size])
    payload.finish()
    assert b"".join(parts) == body


def test_another_encoding_stays():
    headers, body = chunked(b"x")
    assert decode(headers | {"content-encoding": "gzip, aws-chunked"}, body)[0]["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body.replace(b"hello", b"hallo"), "BadDigest"),
        (lambda body: body[: body.rindex(b"x-amz")], "MalformedTrailerError"),
        (lambda body: body.replace(b"x-amz-checksum-crc32", b"x-amz-checksum-sha1"), "MalformedTrailerError"),
        (lambda body: body[:7], "IncompleteBody"),
        (lambda body: b"-1\r\n" + body, "IncompleteBody"),
        (lambda body: b"zz\r\n" + body, "IncompleteBody"),
        (lambda body: b"ffffffffffff\r\n" + body, "IncompleteBody"),
        (lambda body: b"", "IncompleteBody"),
        (lambda body: body + b"5\r\nhello\r\n", "IncompleteBody"),
        (lambda body: body + b"GET / HTTP/1.1\r\n\r\n", "IncompleteBody"),
        (lambda body: b"5;" + bytes(40_000).replace(b"\0", b"x") + body[1:], "IncompleteBody"),
        (lambda body: body[:-4] + b"=" * 40_000 + b"\r\n\r\n", "IncompleteBody"),
    ],
)
def test_an_altered_chunked_body_is_refused(change, code):
    headers, body = chunked(b"hello world")
    with pytest.raises(ServiceError) as failure:
        decode(headers, change(body))
    assert (failure.value.code, failure.value.status) == (code, 400)


def test_a_length_that_is_not_the_bodys_is_refused():
    headers, body = chunked(b"hello")
    with pytest.raises(ServiceError) as failure:
        decode(headers | {"x-amz-decoded-content-length": "4"}, body)
    assert failure.value.code == "IncompleteBody"


def test_signed_chunks_are_refused_by_name():
    with pytest.raises(ServiceError, match="STREAMING-AWS4-HMAC-SHA256-PAYLOAD") as failure:
        decode({"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, b"")
    assert failure.value.status == 501


@pytest.mark.parametrize(
    ("name", "digest"),
    [  # of b"123456789": the check values of the catalogues of these algorithms
        ("x-amz-checksum-crc32", bytes.fromhex("cbf43926")),
        ("x-amz-checksum-crc32c", bytes.fromhex("e3069283")),
        ("x-amz-checksum-crc64nvme", bytes.fromhex("ae8b14860a799888")),
        ("x-amz-checksum-sha1", hashlib.sha1(b"123456789").digest()),
        ("x-amz-checksum-sha256", hashlib.sha256(b"123456789").digest()),
        ("content-md5", hashlib.md5(b"123456789").digest()),
    ],
)
def test_every_checksum_is_that_of_the_body(name, digest):
    text = base64.b64encode(digest).decode()
    assert decode({name: text}, b"123456789") == ({name: text}, b"123456789")
    for body, value in ((b"123456780", text), (b"123456789", "?"), (b"123456789", "")):
        with pytest.raises(ServiceError) as failure:
            decode({name: value}, body)
        assert failure.value.code == "BadDigest"


def test_completing_an_upload_states_the_checksum_of_the_object_not_of_the_request():
    headers = {"x-amz-checksum-crc32": "AAAAAA=="}
    assert decode(headers, b"<xml/>", method="POST", query="uploadId=1")[1] == b"<xml/>"

import time

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from local_sagemaker import signing, signing_v2
from local_sagemaker.errors import ServiceError

KEYS = Credentials("LOCALKEY", "secret")
URL = "http://127.0.0.1:1234"


def presigned(*, seconds=60, target="/bucket/a%20key?versionId=1", keys=KEYS, method="GET", headers=None):
    request = AWSRequest(method=method, url=URL + target, headers=headers or {})
    HmacV1QueryAuth(keys, expires=seconds).add_auth(request)
    path, _, query = request.url.removeprefix(URL).partition("?")
    return {"method": method, "path": path, "query": query, "headers": {"host": "127.0.0.1:1234"}}


def refusal(parts):
    with pytest.raises(ServiceError) as failure:
        signing_v2.verify(**parts, credentials=KEYS)
    assert failure.value.status == 403
    return failure.value.code


@pytest.mark.parametrize("target", ["/bucket/a%20key?versionId=1", "/bucket/key", "/bucket/k?acl", "/b/%C3%A7%2Bd"])
def test_what_botocore_presigns_is_accepted(target):
    parts = presigned(target=target)
    signing_v2.verify(**parts, credentials=KEYS)
    assert signing.verify(**parts, body=b"", credentials=KEYS) == signing.Scope("s3", "us-east-1")


def test_the_headers_it_was_made_for_must_come_with_it():
    parts = presigned(method="PUT", headers={"Content-Type": "text/plain", "x-amz-meta-a": "1"})
    signing_v2.verify(**parts, credentials=KEYS)
    assert refusal(parts | {"query": parts["query"].replace("text%2Fplain", "text%2Fhtml")}) == "SignatureDoesNotMatch"
    parts = presigned(method="PUT")
    parts["headers"]["x-amz-copy-source"] = "secret/object"
    assert refusal(parts) == "SignatureDoesNotMatch"


def test_it_expires():
    assert refusal(presigned(seconds=-1)) == "AccessDenied"
    later = str(int(time.time()) + 10_000)
    parts = presigned()
    expires = parts["query"].partition("Expires=")[2].partition("&")[0]
    assert refusal(parts | {"query": parts["query"].replace(expires, later)}) == "SignatureDoesNotMatch"


def test_other_keys_are_refused():
    assert refusal(presigned(keys=Credentials("OTHER", "secret"))) == "InvalidAccessKeyId"
    assert refusal(presigned(keys=Credentials("LOCALKEY", "other"))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("added", ["legal-hold", "publicAccessBlock", "versionId=2", "X-Amz-Acl=public-read"])
def test_what_its_signature_does_not_cover_is_refused(added):
    parts = presigned()
    assert refusal(parts | {"query": f"{parts['query']}&{added}"}) == "AccessDenied"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_with_any_bit_flipped_it_is_refused(data):
    parts = presigned()
    place = data.draw(st.sampled_from(["path", "query"]))
    raw = bytearray(parts[place].encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    parts[place] = raw.decode("latin-1")
    with pytest.raises(ServiceError):
        signing.verify(**parts, body=b"", credentials=KEYS)

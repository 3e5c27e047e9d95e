import stat
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_sagemaker import signing
from local_sagemaker.errors import ServiceError

KEYS = Credentials("LOCALKEY", "secret")
URL = "http://127.0.0.1:1234"
FOREVER = 10**9


def signed(service="sagemaker", *, path="/", body=b"{}", keys=KEYS, headers=None):
    """The parts of a request that botocore signed, as the server sees them."""
    request = AWSRequest(method="POST", url=URL + path, data=body, headers=headers or {})
    (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, "eu-west-1").add_auth(request)
    names = {name.lower(): value for name, value in request.headers.items()} | {"host": "127.0.0.1:1234"}
    where, _, query = path.partition("?")
    return {"method": "POST", "path": where, "query": query, "headers": names, "body": body}


def presigned(*, seconds=60, key="/bucket/key"):
    request = AWSRequest(method="GET", url=URL + key, headers={})
    S3SigV4QueryAuth(KEYS, "s3", "us-east-1", expires=seconds).add_auth(request)
    path, _, query = request.url.removeprefix(URL).partition("?")
    return {"method": "GET", "path": path, "query": query, "headers": {"host": "127.0.0.1:1234"}, "body": b""}


def refusal(parts, credentials=KEYS):
    with pytest.raises(ServiceError) as failure:
        signing.verify(**parts, credentials=credentials)
    assert failure.value.status == 403
    return failure.value.code


@pytest.mark.parametrize(
    ("service", "path"),
    [("sagemaker", "/"), ("s3", "/bucket/a%20b/%C3%A7%2Bd"), ("s3", "/bucket?delete"), ("s3", "/b?prefix=a%2Fb&x=1")],
)
def test_a_signed_request_yields_its_scope(service, path):
    scope = signing.verify(**signed(service, path=path), credentials=KEYS)
    assert scope == signing.Scope(service, "eu-west-1")


def test_a_presigned_url_is_accepted():
    assert signing.verify(**presigned(key="/bucket/a%20b"), credentials=KEYS).service == "s3"


def test_an_unsigned_request_is_refused():
    parts = signed()
    del parts["headers"]["authorization"]
    assert refusal(parts) == "MissingAuthenticationToken"


@pytest.mark.parametrize("value", ["", "Basic YTpi", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 " * 1000])
def test_another_form_of_authorization_is_refused(value):
    parts = signed()
    parts["headers"]["authorization"] = value
    assert refusal(parts) == "MissingAuthenticationToken"


def test_another_access_key_is_refused():
    assert refusal(signed(keys=Credentials("OTHER", "secret"))) == "UnrecognizedClientException"
    assert refusal(signed("s3", keys=Credentials("ÖTHER", "secret"))) == "InvalidAccessKeyId"


def test_another_secret_is_refused():
    assert refusal(signed(keys=Credentials("LOCALKEY", "other"))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("change", [{"method": "GET"}, {"path": "/x"}, {"query": "a=b"}, {"body": b"{ }"}])
def test_a_request_altered_on_the_way_is_refused(change):
    assert refusal(signed() | change) == "SignatureDoesNotMatch"


def test_an_altered_header_that_was_signed_is_refused():
    parts = signed(headers={"X-Amz-Target": "SageMaker.ListModels"})
    parts["headers"]["x-amz-target"] = "SageMaker.DeleteModel"
    assert refusal(parts) == "SignatureDoesNotMatch"


def test_an_altered_body_of_an_s3_request_is_refused():
    assert refusal(signed("s3", path="/b/k") | {"body": b"other"}) == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_far_off_is_refused(monkeypatch, minutes):
    parts = signed()
    moment = datetime.now(UTC) + timedelta(minutes=minutes)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    monkeypatch.setattr(signing, "datetime", Clock)
    assert refusal(parts) == "InvalidSignatureException"


def test_a_presigned_url_expires(monkeypatch):
    parts = presigned(seconds=60)
    moment = datetime.now(UTC) + timedelta(seconds=62)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    monkeypatch.setattr(signing, "datetime", Clock)
    assert refusal(parts) == "RequestTimeTooSkewed"


def test_a_presigned_url_with_another_key_or_lifetime_is_refused():
    parts = presigned()
    assert refusal(parts | {"path": "/bucket/other"}) == "SignatureDoesNotMatch"
    longer = parts["query"].replace("X-Amz-Expires=60", f"X-Amz-Expires={FOREVER}")
    assert refusal(parts | {"query": longer}) == "SignatureDoesNotMatch"
    assert refusal(parts | {"query": "X-Amz-Signature=00"}) == "MissingAuthenticationToken"


def test_credentials_are_random_lasting_and_the_owners_only(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    keys = signing.load_credentials(first)
    again = signing.load_credentials(first)
    other = signing.load_credentials(second)
    assert (keys.access_key, keys.secret_key) == (again.access_key, again.secret_key)
    assert keys.secret_key != other.secret_key
    assert len(keys.secret_key) >= 40
    assert stat.S_IMODE((first / "credentials.json").stat().st_mode) == 0o600

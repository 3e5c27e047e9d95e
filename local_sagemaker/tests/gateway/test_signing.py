import stat
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path
from clients import verify
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from local_sagemaker.errors import ServiceError
from local_sagemaker.gateway import signing

KEYS = Credentials("LOCALKEY", "secret")
URL = "http://127.0.0.1:1234"
A_WEEK = 7 * 24 * 3600


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
        verify(**parts, credentials=credentials)
    assert failure.value.status == 403
    return failure.value.code


@pytest.mark.parametrize(
    ("service", "path"),
    [("sagemaker", "/"), ("s3", "/bucket/a%20b/%C3%A7%2Bd"), ("s3", "/bucket?delete"), ("s3", "/b?prefix=a%2Fb&x=1")],
)
def test_a_signed_request_yields_its_scope(service, path):
    scope = verify(**signed(service, path=path), credentials=KEYS)
    assert scope == signing.Scope(service, "eu-west-1")


def test_a_client_may_sign_headers_that_botocore_leaves_out(monkeypatch):
    monkeypatch.setattr("botocore.auth.SIGNED_HEADERS_BLACKLIST", [])
    parts = signed(headers={"User-Agent": "another client"})
    monkeypatch.undo()
    assert "user-agent" in parts["headers"]["authorization"]
    assert verify(**parts, credentials=KEYS).service == "sagemaker"
    parts["headers"]["user-agent"] = "altered"
    assert refusal(parts) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("change", [";x-later", ";host", ";x-amz-acl"])
def test_the_list_of_signed_headers_is_signed_as_well(change):
    parts = signed()
    [names] = [part for part in parts["headers"]["authorization"].split(", ") if part.startswith("SignedHeaders=")]
    parts["headers"]["authorization"] = parts["headers"]["authorization"].replace(names, names + change)
    assert refusal(parts) == "SignatureDoesNotMatch"


def test_a_presigned_url_is_accepted():
    assert verify(**presigned(key="/bucket/a%20b"), credentials=KEYS).service == "s3"


@pytest.mark.parametrize("value", ["", "Basic YTpi", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 " * 1000])
def test_another_form_of_authorization_is_refused(value):
    parts = signed()
    parts["headers"]["authorization"] = value
    assert refusal(parts) == "MissingAuthenticationToken"


def test_another_access_key_is_refused():
    assert refusal(signed(keys=Credentials("OTHER", "secret"))) == "UnrecognizedClientException"
    assert refusal(signed("s3", keys=Credentials("ÖTHER", "secret"))) == "InvalidAccessKeyId"


@pytest.mark.parametrize("change", [{"method": "GET"}, {"path": "/x"}, {"query": "a=b"}, {"body": b"{ }"}])
def test_a_request_altered_on_the_way_is_refused(change):
    assert refusal(signed() | change) == "SignatureDoesNotMatch"


def test_an_altered_header_that_was_signed_is_refused():
    parts = signed(headers={"X-Amz-Target": "SageMaker.ListModels"})
    parts["headers"]["x-amz-target"] = "SageMaker.DeleteModel"
    assert refusal(parts) == "SignatureDoesNotMatch"


def test_an_altered_body_of_an_s3_request_is_refused():
    assert refusal(signed("s3", path="/b/k") | {"body": b"other"}) == "XAmzContentSHA256Mismatch"


@pytest.fixture
def move_clock(monkeypatch):
    """A function that moves the clock of the server."""

    def move(**distance):
        moment = datetime.now(UTC) + timedelta(**distance)

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return moment

        monkeypatch.setattr(signing, "datetime", Clock)

    return move


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_far_off_is_refused(move_clock, minutes):
    parts = signed()
    move_clock(minutes=minutes)
    assert refusal(parts) == "InvalidSignatureException"


def test_a_presigned_url_expires(move_clock):
    parts = presigned(seconds=60)
    move_clock(seconds=62)
    assert refusal(parts) == "RequestTimeTooSkewed"


def test_a_presigned_url_with_another_key_or_lifetime_is_refused():
    parts = presigned()
    assert refusal(parts | {"path": "/bucket/other"}) == "SignatureDoesNotMatch"
    longer = parts["query"].replace("X-Amz-Expires=60", f"X-Amz-Expires={A_WEEK}")
    assert refusal(parts | {"query": longer}) == "SignatureDoesNotMatch"
    assert refusal(parts | {"query": "X-Amz-Signature=00"}) == "MissingAuthenticationToken"
    with pytest.raises(ServiceError, match="between 1 and 604800"):
        verify(**presigned(seconds=A_WEEK + 1), credentials=KEYS)


def test_a_parameter_added_to_a_presigned_url_is_refused():
    parts = presigned(key="/bucket/key?versionId=1")
    for added in ("versionId=2&" + parts["query"], parts["query"] + "&versionId=2", parts["query"] + "&tagging"):
        assert refusal(parts | {"query": added}) in ("MissingAuthenticationToken", "SignatureDoesNotMatch")


def test_a_header_with_a_meaning_that_nobody_signed_is_refused():
    for service, name in (("s3", "x-amz-copy-source"), ("sagemaker", "x-amzn-sagemaker-target-model")):
        parts = signed(service)
        parts["headers"][name] = "added/on/the/way"
        assert refusal(parts) == "AccessDenied"


def test_a_request_replayed_to_another_host_is_refused():
    parts = signed()
    parts["headers"]["host"] = "127.0.0.1:4321"
    assert refusal(parts) == "SignatureDoesNotMatch"


text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
paths = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
names = text.map(lambda name: "x-amz-" + "".join(filter(str.isalnum, name.lower())))  # HTTP knows no case of names
queries = st.lists(st.tuples(text, text), max_size=3, unique_by=lambda pair: pair[0])
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
        "service": st.sampled_from(["s3", "sagemaker", "logs"]),
        "path": paths.filter(lambda path: not any(0xD800 <= ord(letter) <= 0xDFFF for letter in path)),
        "query": queries,
        "headers": st.dictionaries(names, text, max_size=3),
        "body": st.binary(max_size=30),
    }
)


def sign(request):
    """Let botocore sign a request, and return its parts as the server sees them."""
    path = quote(request["path"], safe="/~")
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in request["query"])
    url = URL + path + (f"?{query}" if query else "")
    prepared = AWSRequest(method=request["method"], url=url, data=request["body"], headers=dict(request["headers"]))
    signer = S3SigV4Auth if request["service"] == "s3" else SigV4Auth
    signer(KEYS, request["service"], "us-east-1").add_auth(prepared)
    headers = {name.lower(): value for name, value in prepared.headers.items()} | {"host": "127.0.0.1:1234"}
    parts = {"method": request["method"], "path": path, "query": query, "headers": headers, "body": request["body"]}
    return parts


@settings(max_examples=150)
@given(requests)
def test_whatever_botocore_signs_is_accepted(request):
    scope = verify(**sign(request), credentials=KEYS)
    assert scope == signing.Scope(request["service"], "us-east-1")


@settings(max_examples=400)
@given(requests, st.data())
def test_with_any_bit_flipped_it_is_refused(request, data):
    """Unless the path still means the same: all services but S3 sign it without empty parts and dots."""
    parts = sign(request)
    places = [name for name in ("method", "path", "query", "body") if parts[name]] + list(parts["headers"])
    place = data.draw(st.sampled_from(places))
    holder = parts if place in parts else parts["headers"]
    value = holder[place]
    raw = bytearray(value if isinstance(value, bytes) else value.encode("latin-1"))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    holder[place] = bytes(raw) if isinstance(value, bytes) else raw.decode("latin-1")
    if place == "path" and request["service"] != "s3":
        assume(not parts["path"].startswith("/") or normalize_url_path(parts["path"]) != normalize_url_path(value))
    with pytest.raises(ServiceError) as failure:
        verify(**parts, credentials=KEYS)
    assert failure.value.status in (403, 405)


@pytest.mark.parametrize("path", ["./", "?/", "//?", "/#", "", "/\t"])
def test_a_path_that_none_signs_is_refused(path):
    assert refusal(signed(path="//") | {"path": path}) == "AccessDenied"


def test_only_spaces_are_between_the_parts_of_the_authorization():
    parts = signed()
    parts["headers"]["authorization"] = parts["headers"]["authorization"].replace(" SignedHeaders", "\xa0SignedHeaders")
    assert refusal(parts) == "MissingAuthenticationToken"


@settings(max_examples=200)
@given(st.data())
def test_with_any_bit_of_a_presigned_url_flipped_it_is_refused(data):
    parts = presigned(key="/bucket/a%20key?versionId=1")
    place = data.draw(st.sampled_from(["path", "query"]))
    raw = bytearray(parts[place].encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    parts[place] = raw.decode("latin-1")
    with pytest.raises(ServiceError) as failure:
        verify(**parts, credentials=KEYS)
    assert failure.value.status in (400, 403)


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

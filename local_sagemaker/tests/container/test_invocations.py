import json

import pytest

from local_sagemaker.container.invocations import Invocation, error_answer

HEADER = b"x-amzn-sagemaker-custom-attributes"


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        (b"application/json", True),
        (b"application/json; charset=utf-8", True),
        (b"APPLICATION/JSON ;x=y", True),
        (b"application/jsonlines", False),
        (b"text/csv; a=application/json", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_parameters_and_case_of_the_media_type_do_not_matter(content_type, is_json):
    assert Invocation.from_headers("m", {b"content-type": content_type}, b"").is_json == is_json


@pytest.mark.parametrize(
    ("attributes", "version", "method"),
    [
        (b"tfs-model-version=2,tfs-method=classify", "2", "classify"),
        (b"mine=1, tfs-method=predict", None, "predict"),
        (b"tfs-method=a=b", None, "a=b"),
        (b"tfs-,=,tfs-method", None, None),
        (b"", None, None),
    ],
)
def test_custom_attributes_are_read_as_by_awss_container(attributes, version, method):
    invocation = Invocation.from_headers("m", {HEADER: attributes}, b"")
    assert (invocation.version, invocation.method) == (version, method)


def test_the_rest_uri_holds_name_version_and_method():
    plain = Invocation("m", b"")
    assert plain.context(8501)["rest_uri"] == "http://127.0.0.1:8501/v1/models/m:predict"
    chosen = Invocation("m", b"", custom_attributes="tfs-model-version=2,tfs-method=classify")
    assert chosen.context(8501)["rest_uri"] == "http://127.0.0.1:8501/v1/models/m/versions/2:classify"


def test_an_error_answer_can_hold_any_text():
    assert json.loads(error_answer(400, "\ud800 ç").body) == {"error": "? ç"}

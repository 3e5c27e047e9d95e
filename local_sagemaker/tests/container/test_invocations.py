import json

import pytest

from local_sagemaker.container.invocations import Invocation, error_answer

HEADER = b"x-amzn-sagemaker-custom-attributes"


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


def test_an_error_answer_can_hold_any_text():
    assert json.loads(error_answer(400, "\ud800 ç").body) == {"error": "? ç"}

import pytest

from local_sagemaker.container import handler_process
from local_sagemaker.container.handler_process import Context

HEADER = {name: None for name in Context._fields}


@pytest.mark.parametrize(
    ("returned", "header", "body"),
    [
        (("text ç", "text/plain"), {"content_type": "text/plain"}, "text ç".encode()),
        ((b"\xff", None), {"content_type": "application/json"}, b"\xff"),
        ((bytearray(b"a"), "a/b; c=d"), {"content_type": "a/b; c=d"}, b"a"),
        ((None, "text/pläin"), {"content_type": "text/pläin"}, b""),
    ],
)
def test_a_handler_answers_text_or_bytes_and_a_content_type(returned, header, body):
    assert handler_process.answer(lambda data, context: returned, HEADER, b"") == (header, body)


@pytest.mark.parametrize("raised", [ValueError("why"), SystemExit("why"), KeyboardInterrupt("why")])
def test_whatever_a_handler_raises_is_an_answer(raised):
    def handler(data, context):
        raise raised

    assert handler_process.answer(handler, HEADER, b"") == ({"error": "why"}, b"")

import io
import json
import socket
import threading

import pytest

from local_sagemaker.container import handler_process
from local_sagemaker.container.handler_process import Context

HEADER = {name: None for name in Context._fields}


def test_the_context_has_the_fields_of_awss_container():
    documented = ["model_name", "model_version", "method", "rest_uri", "custom_attributes", "request_content_type"]
    context = Context(**HEADER)
    for name in [*documented, "accept_header", "content_length", "grpc_port", "channel", "timeout"]:
        assert hasattr(context, name)
    assert not hasattr(context, "grpc_uri")


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


def test_a_handler_reads_the_body_from_a_stream():
    def handler(data, context):
        return data.read(), context.method

    assert handler_process.answer(handler, HEADER | {"method": "m"}, b"in") == ({"content_type": "m"}, b"in")


@pytest.mark.parametrize("raised", [ValueError("why"), SystemExit("why"), KeyboardInterrupt("why")])
def test_whatever_a_handler_raises_is_an_answer(raised):
    def handler(data, context):
        raise raised

    assert handler_process.answer(handler, HEADER, b"") == ({"error": "why"}, b"")


def test_a_connection_carries_calls_until_it_is_closed():
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=handler_process.serve, args=(theirs, lambda data, context: (data.read(), "a/b")))
    thread.start()
    with ours, ours.makefile("rb") as stream:
        for body in (b"", b"one", bytes(1_000_000)):
            ours.sendall(handler_process.frame(HEADER, body))
            assert handler_process.read_frame(stream) == ({"content_type": "a/b"}, body)
    thread.join(60)
    assert not thread.is_alive()


def test_half_a_message_is_no_message():
    with pytest.raises(EOFError):
        handler_process.read_frame(io.BytesIO(b"\0\0"))
    header, body = handler_process.read_frame(io.BytesIO(handler_process.frame({"a": 1}, b"b")))
    assert (header, body) == (json.loads('{"a": 1}'), b"b")

"""A model's own ``code/inference.py``, served in a process of its own.

The container runs this file as a program (see ``handlers``). It imports nothing of the package: the user's modules find
the same ``sys.path`` as in AWS's container, with ``code/lib`` at its end.
"""

import importlib.util
import io
import json
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

FRAME = struct.Struct(">IQ")  # length of the JSON header, length of the body
DEFAULT_CONTENT_TYPE = "application/json"


class Context(NamedTuple):
    """What a handler is told about its call, with the fields of AWS's container; gRPC is not served here."""

    model_name: str
    model_version: str | None
    method: str | None
    rest_uri: str
    grpc_port: int | None
    channel: None
    custom_attributes: str | None
    request_content_type: str
    accept_header: str
    content_length: int

    @property
    def grpc_uri(self) -> int | None:
        """The gRPC address under its older name."""
        return self.grpc_port


Handler = Callable[[Any, Context], Any]


def load_handler(script: Path) -> Handler:
    """Import ``inference.py`` and return its handler, as AWS's container does.

    Raises:
        NotImplementedError: If it defines neither ``handler`` nor both ``input_handler`` and ``output_handler``.
    """
    library = script.parent / "lib"
    if library.exists():
        sys.path.append(str(library))
    specification = importlib.util.spec_from_file_location("inference", script)
    assert specification and specification.loader, "a path that ends with .py has a loader"
    inference = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(inference)
    if hasattr(inference, "handler"):
        return cast(Handler, inference.handler)
    if not (hasattr(inference, "input_handler") and hasattr(inference, "output_handler")):
        raise NotImplementedError("Handlers are not implemented correctly in user script.")
    import requests  # only where it is needed: it takes a moment

    def handler(data: Any, context: Context) -> Any:
        response = requests.post(context.rest_uri, data=inference.input_handler(data, context))
        return inference.output_handler(response, context)

    return handler


def answer(handler: Handler, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Call the handler; what it raises, even ``SystemExit``, is an answer too."""
    try:
        result, content_type = handler(io.BytesIO(body), Context(**header))
        content_type = DEFAULT_CONTENT_TYPE if content_type is None else content_type
        if not (isinstance(content_type, str) and content_type.isascii() and content_type.isprintable()):
            raise TypeError(f"The handler returned the content type {content_type!r}; return a media type as text.")
        if isinstance(result, str):
            result = result.encode()
        elif not isinstance(result, bytes | bytearray | memoryview):
            raise TypeError(f"The handler returned a body of type {type(result).__name__}; return text or bytes.")
        return {"content_type": content_type}, bytes(result)
    except BaseException as error:
        traceback.print_exc()
        return {"error": str(error) or type(error).__name__}, b""


def read_frame(stream: Any) -> tuple[dict[str, Any], bytes]:
    """Read one message.

    Raises:
        EOFError: If the container closed the connection.
    """
    prefix = stream.read(FRAME.size)
    if len(prefix) < FRAME.size:
        raise EOFError
    header_size, body_size = FRAME.unpack(prefix)
    return json.loads(stream.read(header_size)), stream.read(body_size)


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return one message: a JSON header and a body."""
    encoded = json.dumps(header).encode()
    return FRAME.pack(len(encoded), len(body)) + encoded + body


def serve(connection: socket.socket, handler: Handler) -> None:
    """Answer the calls that come over one connection, one after the other, until it is closed."""
    with connection, connection.makefile("rb") as stream:
        while True:
            try:
                header, body = read_frame(stream)
                connection.sendall(frame(*answer(handler, header, body)))
            except (EOFError, OSError):
                return


def main() -> int:
    """Serve one ``inference.py`` over a number of connections to the container's socket."""
    path, script, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    connections = []
    for _ in range(count):
        connections.append(socket.socket(socket.AF_UNIX))
        connections[-1].connect(path)
    sys.argv = [str(script)]
    outcome: dict[str, Any]
    try:
        handler = load_handler(script)
        outcome = {"error": None}
    except BaseException as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {error}"}
    for connection in connections:
        connection.sendall(frame(outcome))
    if outcome["error"]:
        return 1
    threads = [threading.Thread(target=serve, args=(connection, handler)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())

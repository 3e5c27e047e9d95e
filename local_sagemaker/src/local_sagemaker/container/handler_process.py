"""A model's own ``code/inference.py``, served in a process of its own.

The container runs this file as a program (see ``handlers``). It imports nothing of the package: the user's modules find
the same ``sys.path`` as in AWS's container, and the same files below ``/opt/ml``.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

FRAME = struct.Struct(">IQ")  # length of the JSON header, length of the body
DEFAULT_CONTENT_TYPE = "application/json"
CONTAINER_PATH = b"/opt/ml"


class Context(NamedTuple):
    """What a handler is told about its call, with the fields of AWS's container; gRPC is not served here."""

    model_name: str | None
    model_version: str | None
    method: str | None
    rest_uri: str
    grpc_port: int
    channel: None
    custom_attributes: str | None
    request_content_type: str
    accept_header: str
    content_length: int
    timeout: int


class Body:
    """The body of a request, of which AWS's web server lets a handler read, and no more."""

    def __init__(self, body: bytes) -> None:
        """Begin at its first byte."""
        stream = io.BytesIO(body)
        self.read, self.readline, self.readlines = stream.read, stream.readline, stream.readlines
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines that are left."""
        return iter(self._stream)


class ServingError(RuntimeError):
    """TensorFlow Serving did not answer what ``input_handler`` sent; the container tells the caller."""

    def __init__(self, status: int, body: bytes) -> None:
        """Keep what it answered."""
        super().__init__(body.decode("utf-8", "replace"))
        self.status = status


Handler = Callable[[Any, Context], Any]


class Loader(importlib.machinery.SourceFileLoader):
    """Loads modules whose source finds, by ``/opt/ml``, the folder that stands for it here."""

    container_folder = CONTAINER_PATH

    def get_data(self, path: str) -> bytes:
        """Return the source, or what else lies beside it."""
        data = super().get_data(path)
        return data.replace(CONTAINER_PATH, self.container_folder) if path.endswith(".py") else data


def find_modules(container_folder: str, below: list[str]) -> None:
    """Have modules below some folders loaded by ``Loader``, which knows what stands for ``/opt/ml``."""
    Loader.container_folder = container_folder.encode()
    sys.dont_write_bytecode = True  # what is compiled here holds that path
    find = importlib.machinery.FileFinder.path_hook((Loader, importlib.machinery.SOURCE_SUFFIXES))

    def hook(path: str) -> Any:
        if not any(Path(path).is_relative_to(folder) for folder in below):
            raise ImportError
        return find(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def load_handler(script: Path) -> Handler:
    """Import ``inference.py`` and return its handler, as AWS's container does.

    Raises:
        NotImplementedError: If it defines neither ``handler`` nor both ``input_handler`` and ``output_handler``.
    """
    loader = Loader("inference", str(script))
    specification = importlib.util.spec_from_loader("inference", loader)
    assert specification, "it has a loader"
    inference = importlib.util.module_from_spec(specification)
    loader.exec_module(inference)
    if hasattr(inference, "handler"):
        return cast(Handler, inference.handler)
    if not (hasattr(inference, "input_handler") and hasattr(inference, "output_handler")):
        raise NotImplementedError("Handlers are not implemented correctly in user script.")
    import requests  # only where it is needed: it takes a moment

    def handler(data: Any, context: Context) -> Any:
        response = requests.post(context.rest_uri, data=inference.input_handler(data, context))
        if response.status_code != 200:
            raise ServingError(response.status_code, response.content)
        return inference.output_handler(response, context)

    return handler


def answer(handler: Handler, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Call the handler; what it raises, even ``SystemExit``, is an answer too."""
    try:
        result, content_type = handler(Body(body), Context(**header))
        content_type = DEFAULT_CONTENT_TYPE if content_type is None else content_type
        if not (isinstance(content_type, str) and content_type.isprintable()):
            raise TypeError(f"The handler returned the content type {content_type!r}; return a media type as text.")
        content_type.encode("latin-1")  # of the answer's header
        if isinstance(result, str):
            result = result.encode()
        elif result is None:
            result = b""
        elif not isinstance(result, bytes | bytearray | memoryview):
            raise TypeError(f"The handler returned a body of type {type(result).__name__}; return text or bytes.")
        return {"content_type": content_type}, bytes(result)
    except ServingError as error:
        return {"error": str(error), "status": error.status}, b""
    except BaseException as error:
        traceback.print_exc()
        return {"error": str(error)}, b""


def read_frame(stream: Any) -> tuple[dict[str, Any], bytes]:
    """Read one message; an ``EOFError`` tells that the container closed the connection."""
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
    """Serve one ``inference.py`` over some connections to the container's socket; the one argument is a JSON object."""
    arguments = json.loads(sys.argv[1])
    path, script, count = arguments["socket"], Path(arguments["script"]), arguments["connections"]
    sys.path = [*arguments["first_folders"], *sys.path, *arguments["last_folders"]]
    connections = []
    for _ in range(count):
        connections.append(socket.socket(socket.AF_UNIX))
        connections[-1].connect(path)
    sys.argv = [str(script)]
    outcome: dict[str, Any]
    try:
        find_modules(arguments["container_folder"], arguments["first_folders"] + arguments["last_folders"])
        handler = load_handler(script)
        outcome = {"error": None}
    except BaseException as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {error}"}
    for connection in connections:
        with contextlib.suppress(OSError):  # told of a failure once, the container leaves
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

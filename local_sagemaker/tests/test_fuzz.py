"""Random requests over a real socket. ``FUZZ_ROUNDS`` and ``FUZZ_SEED`` set how many and which."""

import collections
import json
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httptools
import pytest
from clients import container_process, eventually, unix_connection

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "2000"))  # of each client; a number, so that a slow machine tests as much
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PATIENCE = 15  # seconds within which a whole request must be answered
CLIENTS = 4

METHODS = ["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "X" * 40, "P0ST"]
NAMES = ["linear", "csv", "fleeting", "missing", "", ".", "..", "%2e%2e", "a%00b", "%ff", "x" * 300, "é", "a b", "%"]
RIGHT_BODY = b'{"instances": [[1, 2]]}'
LOAD_BODY = b'{"model_name": "linear", "url": "MODELS/linear"}'  # or it would be gone for good when it is unloaded once
BODIES = [
    b"",
    RIGHT_BODY,
    b'{"inputs": {"x": [[NaN, -Infinity]]}}',
    b'{"signature_name": "upper", "instances": [{"b64": "YQ"}, "b"]}',
    b'{"signature_name": "combine", "inputs": {"a": [], "b": [1, 1e99]}}',
    b'{"instances": [[1, true], [null, "a"]], "signature_name": null}',
    b"[" * 3000,
    b'{"instances": ' + b"[" * 200 + b"]" * 200 + b"}",
    b"1,2\n3,4",
    b"\xff\xfe\x00",
    b'{"model_name": "fleeting", "url": "MODELS/linear"}',
    LOAD_BODY,
    b'{"model_name": "broken", "url": "MODELS/broken"}',
    b'{"model_name": "a\\u0000b", "url": "/nowhere"}',
    b'{"model_name": "b", "url": "/proc/self\\u0000"}',
    b'{"model_name": "b", "url": "' + b"x" * 5000 + b'"}',
    b'{"model_name": ["a"], "url": 5}',
]
HEADERS = [
    b"Content-Type: application/json",
    b"Content-Type: text/csv",
    b"Content-Type: image/jpeg",
    b"Content-Type: application/x-image",
    b"Content-Type: text/plain",
    b"Content-Type: \xff\xfe",
    b"Accept: */*",
    b"X-Amzn-SageMaker-Custom-Attributes: tfs-method=classify",
    b"X-Amzn-SageMaker-Custom-Attributes: tfs-method=regress",
    b"X-Amzn-SageMaker-Custom-Attributes: tfs-model-version=10,tfs-method=classify",
    b"X-Amzn-SageMaker-Custom-Attributes: tfs-model-version=99999999999999999999,tfs-=",
    b"X-Amzn-SageMaker-Target-Model: ../../etc/passwd",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + b"A" * 22
    + b"==",
    b"Host: evil.example",
    b"Content-Encoding: gzip",
    b"Content-Length: 7",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity, chunked",
    b"Bad Header",
    b": empty",
    b"X: " + b"y" * 70_000,
]
# The errors of status 500 and above that are meant: the model or its handler fails, or the feature is not there.
MEANT = (
    "Failed to load model ",
    "unsupported content type",
    "could not convert string to float",
    "The model was unloaded during the call",  # by another client
    "'utf-8' codec can't decode",
    '{"error":',
)


# What AWS's proxy says of a malformed request to load, and of an unload that names no model; nothing else has it.
MEANT_WITHOUT_WORDS = {"title": "500 Internal Server Error"}


def _is_meant(body: bytes) -> bool:
    document = json.loads(body) if body.startswith(b"{") else {}
    words = document.get("error", document.get("description", ""))
    return document == MEANT_WITHOUT_WORDS or words.startswith(MEANT)


class Tally:
    """What was sent and answered, by all clients together."""

    def __init__(self) -> None:
        self.requests = 0
        self.statuses: collections.Counter[int] = collections.Counter()
        self.wrong: list[str] = []
        self.lock = threading.Lock()


class Client(threading.Thread):
    """Sends random requests."""

    def __init__(self, path: Path, models: Path, seed: int, tally: Tally) -> None:
        super().__init__(daemon=True)
        self._path = str(path)
        self._models = str(models).encode()
        self._random = random.Random(seed)
        self._tally = tally

    def run(self) -> None:
        for _ in range(ROUNDS):
            if self._tally.wrong:
                return
            kind = self._random.choice([self._whole, self._whole, self._pipelined, self._truncated, self._garbage])
            try:
                kind()
            except Exception as error:
                self._note(f"{kind.__name__} failed: {type(error).__name__}: {error}")

    def _whole(self) -> None:
        """One request, whose length is told truly or not at all; it must be answered."""
        request = self._request()
        self._exchange(request, answers=1)

    def _pipelined(self) -> None:
        """Several requests at once; each must be answered, unless one closes the connection or is not HTTP."""
        requests = [self._request() for _ in range(self._random.randint(2, 5))]
        self._exchange(b"".join(requests), answers=len(requests), may_stop=True)

    def _truncated(self) -> None:
        request = self._request()
        self._send_and_leave(request[: self._random.randrange(len(request))])

    def _garbage(self) -> None:
        request = bytearray(self._request())
        for _ in range(self._random.randint(1, 20)):
            request[self._random.randrange(len(request))] = self._random.randrange(256)
        self._send_and_leave(bytes(request))

    def _request(self) -> bytes:
        choose = self._random.choice
        is_right = self._random.random() < 0.1  # but for its headers: chance alone hardly ever makes such a call
        name = choose(NAMES)
        paths = ["/ping", "/models", f"/models/{name}", f"/models/{name}/invoke", f"/models/{name}/invoke", f"/{name}"]
        path = choose([*paths, f"/models/linear/invoke?{name}=1", "//models//", "*", "http://evil.example/ping"])
        method = choose([*METHODS, *["POST"] * 20, *["GET"] * 5, *["DELETE"] * 5])
        body = self._body()
        if is_right:
            method, path, body = "POST", "/models/linear/invoke", RIGHT_BODY
        elif self._random.random() < 0.05:
            method, path, body = "POST", "/models", LOAD_BODY.replace(b"MODELS", self._models)
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: container"]
        lines += self._random.sample(HEADERS, k=choose([0, 0, 1, 1, 1, 2, 3]))
        is_typed = is_right or choose([True, False])
        if is_typed and not any(line.startswith(b"Content-Type") for line in lines):  # or it would hide that one
            lines.append(b"Content-Type: application/json")
        if not any(line.startswith((b"Content-Length", b"Transfer-Encoding")) for line in lines):
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, b"", body])

    def _body(self) -> bytes:
        body = self._random.choice(BODIES).replace(b"MODELS", self._models)
        if body and self._random.random() < 0.3:
            position = self._random.randrange(len(body))
            body = (
                body[:position] + self._random.choice([b"", b"0", b"[", b'"', b"\x00", b"NaN"]) + body[position + 1 :]
            )
        return body

    def _exchange(self, data: bytes, *, answers: int, may_stop: bool = False) -> None:
        lying = any(word in data for word in (b"Content-Length: 7\r", b"Content-Length: 99999", b"Transfer-Encoding"))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self._path)
            try:
                connection.sendall(data)
                if lying or b"HEAD" in data or b"CONNECT" in data:  # more may be awaited: the end must end it
                    connection.shutdown(socket.SHUT_WR)
                    answers = 0
                received = self._receive(connection, answers)
            except (BrokenPipeError, ConnectionResetError):  # an answer, and no wish to read the rest
                return
            except TimeoutError:
                self._note(f"no answer in time to {data[:2000]!r}")
                return
        if received < answers and not may_stop:
            self._note(f"no answer to {data[:300]!r}")

    def _receive(self, connection: socket.socket, answers: int) -> int:
        """Read the answers that come, all of them if the number is not known, and judge each."""
        found = _Answers(self._judge)
        while (not answers or found.count < answers) and not found.closes:
            data = connection.recv(65536)
            if not data or not found.feed(data):
                break
        return found.count

    def _judge(self, status: int, body: bytes) -> None:
        with self._tally.lock:
            self._tally.requests += 1
            self._tally.statuses[status] += 1
        if status >= 500 and not _is_meant(body):
            self._note(f"{status}: {body[:300]!r}")

    def _send_and_leave(self, data: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self._path)
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                if self._random.random() < 0.5:
                    while connection.recv(65536):
                        pass
            except (BrokenPipeError, ConnectionResetError):
                pass
        with self._tally.lock:
            self._tally.requests += 1

    def _note(self, text: str) -> None:
        with self._tally.lock:
            self._tally.wrong.append(text)


class _Answers:
    """Takes the answers of a connection apart; the methods named ``on_…`` are called by the parser."""

    def __init__(self, judge: Callable[[int, bytes], None]) -> None:
        self.count, self.closes = 0, False
        self._judge, self._body = judge, b""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            return False
        return True

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 100:
            self._judge(status, self._body)
            self.count += 1
            self.closes = not self._parser.should_keep_alive()
        self._body = b""


@pytest.fixture
def container(models, write_model, tmp_path, tmp_path_factory) -> Iterator[tuple[Path, Path, subprocess.Popen]]:
    """A container process with the models "linear" and "csv", its socket, and its log."""
    path = tmp_path_factory.mktemp("s") / "c"
    log = tmp_path / "log"
    with log.open("wb") as output, container_process(path, output=output.fileno()) as process:
        script = (Path(__file__).parent / "inference_scripts" / "pair.py").read_text()
        for name, url in (("linear", models / "linear"), ("csv", write_model("csv", script))):
            status, answer = _call(path, "POST", "/models", {"model_name": name, "url": str(url)})
            assert status == 200, answer
        yield path, log, process


def _call(path: Path, method: str, url: str, document: object = None) -> tuple[int, object]:
    connection = unix_connection(path)
    connection.request(method, url, json.dumps(document), {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    answer = json.loads(body) if body else None
    connection.close()
    return response.status, answer


@pytest.mark.slow
@pytest.mark.timeout(600 + ROUNDS)
def test_no_request_makes_the_container_fail_hang_or_crash(container, models, tmp_path):
    path, log, process = container
    (tmp_path / "linear").symlink_to(models / "linear")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"no model")
    tally = Tally()
    clients = [Client(path, tmp_path, SEED * CLIENTS + number, tally) for number in range(CLIENTS)]
    started = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()  # each request has its own patience
    assert not tally.wrong, "\n".join(tally.wrong)
    assert process.poll() is None
    assert _call(path, "GET", "/ping") == (200, None)
    _call(path, "DELETE", "/models/csv")

    def loads_again() -> bool:
        _call(path, "DELETE", "/models/linear")
        return _call(path, "POST", "/models", {"model_name": "linear", "url": str(models / "linear")})[0] == 200

    eventually(loads_again)  # a load may be under way for a client that has left
    assert _call(path, "POST", "/models/linear/invoke", {"instances": [[1, 2]]}) == (200, {"predictions": [[10, 20]]})
    # The one kind of exception that may be logged: nobody is there any more to take the answer.
    logged = log.read_text(errors="replace")
    assert logged.count("Exception in ASGI application") == logged.count("the handler is closed")
    figures = {"requests": tally.requests, "seconds": round(time.monotonic() - started, 1)}
    figures["statuses"] = dict(sorted(tally.statuses.items()))
    print(figures)
    assert {200, 400, 404, 405, 415, 500} <= tally.statuses.keys(), figures  # the requests reach everything

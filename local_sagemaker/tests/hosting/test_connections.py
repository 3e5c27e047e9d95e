import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.hosting.connections import ConnectionPool, Response

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: value\r\n\r\nok"


class Peer:
    """A server on a Unix socket that answers every request with the next of some bytes, and may end the connection."""

    def __init__(self, path: Path, *answers: bytes, ends: bool = False) -> None:
        self.path = path
        self.pool = ConnectionPool(path, most_idle=8)
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._ends = ends
        self._answers = iter(answers or [ANSWER] * 100)

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pool.close()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.asked.set()
                await self.go_on.wait()
                writer.write(next(self._answers))
                if self._ends:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lsm-") as folder:  # the path of a socket must be short
        yield Path(folder, "s")


async def test_a_request_and_its_answer(socket):
    async with Peer(socket) as peer:
        response = await peer.pool.request("POST", "/models/m/invoke", headers={"Accept": "a/b"}, body=b"[1]")
        assert response == Response(200, {"content-length": "2", "x-name": "value"}, b"ok")
        lines = ["POST /models/m/invoke HTTP/1.1", "host: container", "content-length: 3", "Accept: a/b", "", "[1]"]
        assert peer.requests == ["\r\n".join(lines).encode()]


async def test_one_request_after_the_other_shares_a_connection(socket):
    async with Peer(socket) as peer:
        for _ in range(5):
            await peer.pool.request("GET", "/ping")
        assert (len(peer.requests), peer.connections) == (5, 1)


async def test_requests_at_the_same_time_have_a_connection_each(socket):
    answers = [ANSWER.replace(b"ok", f"{number:02}".encode()) for number in range(8)]
    async with Peer(socket, *answers) as peer:
        responses = await asyncio.gather(*(peer.pool.request("GET", "/ping") for _ in range(8)))
        assert sorted(response.body for response in responses) == [answer[-2:] for answer in answers]
        assert peer.connections == 8


async def test_a_chunked_answer_and_one_without_a_body(socket):
    chunked = b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with Peer(socket, chunked, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as peer:
        first, second = await peer.pool.request("GET", "/"), await peer.pool.request("GET", "/")
        assert (first.status, first.body) == (500, b"abcde")
        assert (second.status, second.body, peer.connections) == (200, b"", 1)


async def test_a_connection_that_the_server_closes_is_not_used_again(socket):
    async with Peer(socket, ANSWER.replace(b"X-Name: value", b"Connection: close"), ANSWER) as peer:
        assert (await peer.pool.request("GET", "/")).body == b"ok"
        assert (await peer.pool.request("GET", "/")).body == b"ok"
        assert peer.connections == 2


@pytest.mark.parametrize("answer", [b"", ANSWER[:-1], ANSWER[:20], b"SSH-2.0\r\n\r\n"], ids=str)
async def test_no_whole_answer_is_an_error(socket, answer):
    async with Peer(socket, answer, ends=True) as peer:
        with pytest.raises(ConnectionError):
            await peer.pool.request("GET", "/")


def test_nobody_listens(socket):
    with pytest.raises(OSError):
        asyncio.run(ConnectionPool(socket, most_idle=8).request("GET", "/"))


async def test_a_cancelled_request_closes_its_connection(socket):
    async with Peer(socket) as peer:
        peer.go_on.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await peer.pool.request("GET", "/slow")
        peer.go_on.set()
        # The late answer must not be taken for that of the next request.
        assert (await peer.pool.request("GET", "/")).body == b"ok"
        assert peer.connections == 2


async def test_closing_fails_the_requests_under_way_and_later_ones(socket):
    async with Peer(socket) as peer:
        peer.go_on.clear()
        waiting = asyncio.create_task(peer.pool.request("GET", "/"))
        await peer.asked.wait()
        peer.pool.close()
        for request in (waiting, peer.pool.request("GET", "/")):
            with pytest.raises(ConnectionError):
                await request


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_cannot_bring_another_with_it(socket, value):
    async with Peer(socket) as peer:
        with pytest.raises(ValueError, match="line break"):
            await peer.pool.request("GET", "/", headers={"X-Name": value})
        assert peer.requests == []

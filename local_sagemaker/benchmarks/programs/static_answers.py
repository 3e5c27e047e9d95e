"""A server that answers every request with the same prediction: the least that a call through boto3 can cost."""

import asyncio
import json
import re
import sys

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BODY = json.dumps({"predictions": [{"label": "0", "probabilities": [0.1] * 10}]}).encode()
ANSWER = (
    f"""HTTP/1.1 200 OK\r
content-type: application/json\r
x-Amzn-Invoked-Production-Variant: AllTraffic\r
x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r
content-length: {len(BODY)}\r
\r
""".encode()
    + BODY
)


class StaticAnswers(asyncio.Protocol):
    """One connection: reads whole requests and answers them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete; botocore asks with ``Expect: 100-continue`` for some."""
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if ended and len(body) >= (int(length.group(1)) if length else 0):
            self._received.clear()
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(StaticAnswers, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

"""A server that answers every request with the same prediction: the least that a call through boto3 can cost."""

import argparse
import asyncio
import json
import re

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BODY = json.dumps({"predictions": [{"label": "0", "probabilities": [0.1] * 10}]}).encode()
HEADERS = (
    "HTTP/1.1 200 OK",
    "content-type: application/json",
    "x-Amzn-Invoked-Production-Variant: AllTraffic",
    "x-amzn-RequestId: 00000000-0000-0000-0000-000000000000",
    f"content-length: {len(BODY)}",
)
ANSWER = "\r\n".join((*HEADERS, "", "")).encode() + BODY


class StaticAnswers(asyncio.Protocol):
    """One connection: reads whole requests and answers them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete; botocore asks with ``Expect: 100-continue`` for some."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end])
        length = LENGTH.search(head)
        if len(self._received) >= end + 4 + (int(length.group(1)) if length else 0):
            self._received.clear()
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(StaticAnswers, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))

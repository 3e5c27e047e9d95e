import asyncio
import http.client
import json

import pytest

from local_sagemaker.container.invocations import Answer
from local_sagemaker.container.serving_api import ServingApi


@pytest.fixture
def ask():
    """A function that asks an API whose predictions repeat what they are asked, and returns status and document."""

    async def predict(name: str, version: str | None, method: str, body: bytes) -> Answer:
        return Answer(200, json.dumps([name, version, method, len(body)]).encode())

    def ask(method: str, path: str, body: bytes = b"", host: str = "") -> tuple[int, object]:
        def call(port: int) -> tuple[int, object]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request(method, path, body, {"Host": host.format(port=port) or f"127.0.0.1:{port}"})
            response = connection.getresponse()
            answer = response.status, json.loads(response.read())
            connection.close()
            return answer

        async def run() -> tuple[int, object]:
            api = ServingApi(predict, lambda *asked: Answer(200, json.dumps(asked).encode()))
            await asyncio.gather(api.start(), api.start())
            try:
                return await asyncio.to_thread(call, api.port)
            finally:
                await api.close()

        return asyncio.run(run())

    return ask


def test_predict_with_and_without_a_version_and_with_a_large_body(ask):
    assert ask("POST", "/v1/models/m:predict", bytes(3_000_000)) == (200, ["m", None, "predict", 3_000_000])
    assert ask("POST", "/v1/models/m/versions/3:classify") == (200, ["m", "3", "classify", 0])


def test_the_status_of_a_model(ask):
    assert ask("GET", "/v1/models/m") == (200, ["m", None])
    assert ask("GET", "/v1/models/m/versions/2") == (200, ["m", "2"])


@pytest.mark.parametrize(
    "call", [("GET", "/"), ("POST", "/v1/models/m"), ("DELETE", "/v1/models/m"), ("POST", "/ping")]
)
def test_other_calls_are_malformed(ask, call):
    assert ask(*call) == (400, {"error": f"Malformed request: {call[0]} {call[1]}"})


def test_the_loopback_address_is_the_only_host(ask):
    assert ask("GET", "/v1/models/m", host="localhost:{port}")[0] == 200
    assert ask("GET", "/v1/models/m", host="evil.example:{port}")[0] == 403

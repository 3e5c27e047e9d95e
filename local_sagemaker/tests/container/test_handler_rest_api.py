import asyncio
import http.client
import json
from urllib.parse import urlsplit

import pytest

from local_sagemaker.container.handler_rest_api import ServingApi
from local_sagemaker.container.invocations import Answer


@pytest.fixture
def ask():
    """A function that asks an API whose predictions repeat what they are asked, and returns status and document."""

    async def predict(name: str, version: str | None, method: str, body: bytes) -> Answer:
        return Answer(200, json.dumps([name, version, method, len(body)]).encode())

    def ask(method: str, path: str, body: bytes = b"", *, secret: str | None = None, **headers: str):
        def call(address: str) -> tuple[int, object]:
            parts = urlsplit(address)
            connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)
            connection.request(method, (parts.path if secret is None else secret) + path, body, headers)
            response = connection.getresponse()
            answer = response.status, json.loads(response.read())
            connection.close()
            return answer

        async def run() -> tuple[int, object]:
            api = ServingApi(predict, lambda *asked: Answer(200, json.dumps(asked).encode()))
            await asyncio.gather(api.start(), api.start())
            try:
                return await asyncio.to_thread(call, api.address)
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


@pytest.mark.parametrize("secret", ["", "/", "/guess"])
def test_who_was_not_told_the_address_is_refused_before_the_body_is_sent(ask, secret):
    assert ask("GET", "/v1/models/m", secret=secret)[0] == 403
    assert ask("POST", "/v1/models/m:predict", **{"Content-Length": "1000000"}, secret=secret)[0] == 403


def test_a_body_over_the_limit_is_refused(ask, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_MAX_HANDLER_BYTES", "10")
    assert ask("POST", "/v1/models/m:predict", bytes(10))[0] == 200
    assert ask("POST", "/v1/models/m:predict", bytes(11))[0] == 413
    assert ask("POST", "/v1/models/m:predict", **{"Content-Length": "11"})[0] == 413  # unread
    assert ask("POST", "/v1/models/m:predict", iter([bytes(11)]))[0] == 413  # in chunks

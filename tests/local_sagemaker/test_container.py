import asyncio
import json
from pathlib import Path

import pytest

from local_sagemaker.container import Application, Container
from local_sagemaker.settings import MEBIBYTE


class Client:
    """Calls a container as the platform does, without a socket between."""

    def __init__(self, **options: int) -> None:
        self._application = Application(Container(**options))

    def call(self, method: str, path: str, body: bytes = b"", *, content_type: str = "application/json") -> tuple:
        """Return the status and the JSON document of the answer."""
        return asyncio.run(self._call(method, path, body, content_type))

    def load(self, name: str, url: Path) -> tuple:
        return self.call("POST", "/models", json.dumps({"model_name": name, "url": str(url)}).encode())

    def invoke(self, name: str, document: object, **options: str) -> tuple:
        return self.call("POST", f"/models/{name}/invoke", json.dumps(document).encode(), **options)

    async def _call(self, method: str, path: str, body: bytes, content_type: str) -> tuple:
        sent = []

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(b"content-type", content_type.encode())]
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        await self._application(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def client():
    return Client()


@pytest.fixture(scope="module")
def loaded(models):
    """A container that holds "linear" under the name ``m``; tests leave it so."""
    client = Client()
    client.load("m", models / "linear")
    return client


def test_ping(client):
    assert client.call("GET", "/ping") == (200, {})


def test_load_describe_list_unload(client, models):
    status, answer = client.load("m", models / "linear")
    assert status == 200
    assert answer["success"].startswith("Successfully loaded model m, ")
    status, answer = client.call("GET", "/models/m")
    version = answer["model_version_status"][0]
    assert (status, version["version"], version["state"]) == (200, "10", "AVAILABLE")
    assert client.call("GET", "/models") == (200, {"m": answer})
    assert client.invoke("m", {"instances": [[1, 2]]}) == (200, {"predictions": [[10, 20]]})
    assert client.call("DELETE", "/models/m") == (200, {"success": "Successfully unloaded model m."})
    assert client.call("GET", "/models") == (200, {})


def test_loading_twice_is_a_conflict(loaded, models):
    assert loaded.load("m", models / "linear") == (409, {"error": "Model m is already loaded."})


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "x" * 256])
def test_a_bad_name_is_refused(client, models, name):
    assert client.load(name, models / "linear") == (400, {"error": f"invalid model_name: {name!r}"})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model_name": "m"}', b"5"])
def test_a_load_request_of_another_form_is_refused(client, body):
    status, answer = client.call("POST", "/models", body)
    assert status == 400
    assert "model_name" in answer["error"]


def test_a_base_path_without_a_version_is_not_found(client, tmp_path):
    error = {"error": f"Could not find valid base path {tmp_path} for servable m"}
    assert client.load("m", tmp_path) == (404, error)


def test_more_models_than_the_memory_holds(models):
    client = Client(memory_bytes=MEBIBYTE * 3 // 2)
    assert client.load("a", models / "heavy")[0] == 200
    status, answer = client.load("b", models / "heavy")
    assert status == 507
    assert answer["error"].startswith("Memory exhausted: ")
    client.call("DELETE", "/models/a")
    assert client.load("b", models / "heavy")[0] == 200


def test_a_damaged_saved_model_cannot_be_loaded_and_leaves_nothing(client, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    status, answer = client.load("m", tmp_path)
    assert status == 500
    assert answer["error"].startswith("Failed to load model m: ")
    assert client.load("m", tmp_path)[0] == 500  # again, and not "already loaded"


@pytest.mark.parametrize("call", [("GET", "/models/n"), ("DELETE", "/models/n"), ("POST", "/models/n/invoke")])
def test_a_model_that_is_not_loaded_is_not_found(loaded, call):
    assert loaded.call(*call) == (404, {"error": "Model n is not loaded yet."})


@pytest.mark.parametrize("content_type", ["text/csv", "application/x-npy", "application/jsonlines", ""])
def test_another_media_type_is_unsupported(loaded, content_type):
    error = {"error": f"Unsupported Media Type: {content_type or 'Unknown'}"}
    assert loaded.invoke("m", {"instances": [[1, 2]]}, content_type=content_type) == (415, error)


def test_parameters_and_case_of_the_media_type_do_not_matter(loaded):
    assert loaded.invoke("m", {"instances": [[1, 2]]}, content_type="Application/JSON; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [[1, 2], [3]]},
        {"instances": [["a", "b"]]},
        {"instances": [[1, 2, 3]]},
        {"signature_name": "none", "instances": [[1, 2]]},
        {"signature_name": "add", "inputs": {"x": [1, 2], "y": [1, 2, 3]}},
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_a_sentence(loaded, document):
    status, answer = loaded.invoke("m", document)
    assert status == 400
    assert len(answer["error"].split()) > 4


def test_a_body_that_is_no_json_is_refused(loaded):
    status, answer = loaded.call("POST", "/models/m/invoke", b"\x89PNG")
    assert status == 400
    assert answer["error"].startswith("JSON Parse error")


def test_other_methods_and_paths(client):
    assert client.call("PUT", "/models")[0] == 405
    assert client.call("POST", "/ping")[0] == 405
    assert client.call("GET", "/nothing")[0] == 404

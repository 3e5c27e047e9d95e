import json
import re
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest
from clients import container_process, unix_connection
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from local_sagemaker.settings import MEBIBYTE


@pytest.fixture(scope="module", params=["shared", "own"], autouse=True)
def engine(request):
    """Each test runs with the fast engine and with the slow one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_SAGEMAKER_ENGINE", request.param)
        yield request.param


@pytest.fixture
def client(start_container):
    return start_container()


@pytest.fixture(scope="module")
def loaded(start_container, models, engine):
    """A container that holds "linear" under the name ``m``; tests leave it so."""
    client = start_container()
    client.load("m", models / "linear")
    return client


def test_ping(client):
    assert client.raw("GET", "/ping") == (200, "application/json", b"")


def test_load_describe_list_unload(client, models):
    status, answer = client.load("m", models / "linear")
    assert status == 200
    assert answer["success"].startswith("Successfully loaded model m, ")
    status, answer = client.call("GET", "/models/m")
    versions = answer["model"]["model_version_status"]
    assert [(each["version"], each["state"]) for each in versions] == [
        (number, "AVAILABLE") for number in ("10", "2", "1")
    ]
    assert client.call("GET", "/models") == (200, {"m": answer["model"]})
    assert client.invoke("m", {"instances": [[1, 2]]}) == (200, {"predictions": [[10, 20]]})
    assert client.call("DELETE", "/models/m") == (200, {"success": "Successfully unloaded model m."})
    assert client.call("GET", "/models") == (200, {})


def test_loading_twice_is_a_conflict(loaded, models):
    assert loaded.load("m", models / "linear") == (409, {"error": "Model m is already loaded."})


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", ".", "..", "a\n", "a%2Fb", "x" * 256, None, "é"])
def test_a_bad_name_is_refused(client, models, name):
    assert client.load(name, models / "linear") == (400, {"error": f"invalid model_name: {name!r}"})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model_name": "m"}', b"5"])
def test_a_load_request_of_another_form_is_refused(client, body):
    status, answer = client.call("POST", "/models", body)
    assert (status, answer) == (500, {"title": "500 Internal Server Error"})


def test_a_base_path_without_a_version_is_not_found(client, tmp_path):
    status, answer = client.load("m", tmp_path)
    assert status == 404
    assert answer["error"].startswith(f"Could not find valid base path {tmp_path} for servable m. At its top, ")


def test_more_models_than_the_memory_holds(start_container, models, engine):
    client = start_container(memory_bytes=MEBIBYTE * (3 if engine == "own" else 2) - 1)
    assert client.load("a", models / "heavy")[0] == 200
    status, answer = client.load("b", models / "heavy")
    assert status == 507
    assert answer["error"].startswith("Memory exhausted: ")
    client.call("DELETE", "/models/a")
    assert client.load("b", models / "heavy")[0] == 200


def test_more_models_than_files_can_be_open(client, models):
    assert client.load("a", models / "linear")[0] == 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) * 5 // 4, hard))
    try:
        status, answer = client.load("b", models / "linear")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert status == 507
    assert answer["error"].startswith("Memory exhausted: ")
    assert client.load("b", models / "linear")[0] == 200


def test_a_damaged_saved_model_cannot_be_loaded_and_leaves_nothing(client, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    status, answer = client.load("m", tmp_path)
    assert status == 500
    assert answer["error"].startswith("Failed to load model m: ")
    assert client.load("m", tmp_path)[0] == 500  # again, and not "already loaded"


@pytest.mark.parametrize("call", [("GET", "/models/n"), ("DELETE", "/models/n"), ("POST", "/models/n/invoke")])
def test_a_model_that_is_not_loaded_is_not_found(loaded, call):
    status, answer = loaded.call(*call)
    assert (status, answer["error"].rstrip(".")) == (404, "Model n is not loaded yet")


@pytest.mark.parametrize("url", ["/\0", 5, None, "x" * 9000])
def test_a_url_that_is_no_folder_is_refused(client, url):
    status, answer = client.call("POST", "/models", json.dumps({"model_name": "m", "url": url}).encode())
    assert status in (404, 500)
    assert answer


def test_custom_attributes_choose_version_and_method_as_in_awss_container(loaded):
    def ask(attributes: str) -> tuple:
        return loaded.invoke("m", {"instances": [[1, 2]]}, x_amzn_sagemaker_custom_attributes=attributes)

    assert ask("tfs-model-version=10,tfs-method=predict") == (200, {"predictions": [[10, 20]]})
    assert ask("tfs-model-version=2") == (200, {"predictions": [[2, 4]]})
    assert ask("tfs-model-version=7")[0] == 404
    assert ask("tfs-model-version=x") == (400, {"error": "invalid tfs-model-version: must be a positive integer"})
    assert ask("tfs-method=classify")[0] == 400
    assert ask("anything, tfs-, =")[0] == 200


def test_nan_and_infinities_go_in_and_come_back(loaded):
    body = b'{"instances": [[NaN, -Infinity], [Infinity, 1]]}'
    status, kind, answer = loaded.raw("POST", "/models/m/invoke", body, content_type="application/json")
    assert (status, kind) == (200, "application/json")
    assert answer == b'{"predictions":[[NaN,-Infinity],[Infinity,10.0]]}'


@given(st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", fullmatch=True))
@settings(max_examples=200)
def test_any_valid_name_is_one_model_of_its_own(loaded, name):
    assert loaded.call("GET", f"/models/{name}")[0] == (200 if name == "m" else 404)
    error = (
        f"Model {name} is already loaded."
        if name == "m"
        else f"Could not find valid base path /nowhere for servable {name}. "
    )
    assert loaded.load(name, "/nowhere")[1]["error"].startswith(error)


@given(st.text() | st.none() | st.integers() | st.lists(st.text()))
@settings(max_examples=200)
def test_any_other_name_is_refused(loaded, name):
    assume(not (isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", name)))
    status, answer = loaded.load(name, "/nowhere")
    if name and not isinstance(name, str):
        assert (status, answer) == (500, {"title": "500 Internal Server Error"})
    else:
        assert status == 400
        assert answer["error"].startswith("invalid model_name: ")


def load_over(connection, name, model):
    connection.request("POST", "/models", json.dumps({"model_name": name, "url": str(model)}))


@pytest.mark.alone
def test_ping_is_answered_while_models_are_loaded(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "c"
    with container_process(path):
        loads = [unix_connection(path) for _ in range(20)]
        for number, connection in enumerate(loads):
            load_over(connection, f"m{number}", models / "heavy")
        pings, connection = [], unix_connection(path)
        while len(json.loads(get(connection, "/models"))) < len(loads):
            started = time.monotonic()
            assert get(connection, "/ping") == b""
            pings.append(time.monotonic() - started)
        assert [load.getresponse().status for load in loads] == [200] * len(loads)
    assert len(pings) >= 5
    assert max(pings) < 2  # what SageMaker waits for


def get(connection, path):
    connection.request("GET", path)
    return connection.getresponse().read()


@pytest.mark.slow
def test_a_container_that_is_asked_to_end_ends_its_handlers_first(write_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "c"
    model = write_model("m", "def handler(data, context):\n    return data.read(), None\n")
    with container_process(path) as process:
        connection = unix_connection(path)
        load_over(connection, "m", model)
        assert connection.getresponse().status == 200
        connection.close()
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)

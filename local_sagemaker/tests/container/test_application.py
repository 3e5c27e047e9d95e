import json
import re
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest
from clients import container_process, unix_connection
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from local_sagemaker.settings import MEBIBYTE


@pytest.fixture
def client(start_container):
    return start_container()


@pytest.fixture(scope="module")
def loaded(start_container, models):
    """A container that holds "linear" under the name ``m``; tests leave it so."""
    client = start_container()
    client.load("m", models / "linear")
    return client


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "too_few"), [("shared", 2 * MEBIBYTE), ("own", 3 * MEBIBYTE)])
def test_more_models_than_the_memory_holds(start_container, models, monkeypatch, engine, too_few):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ENGINE", engine)
    client = start_container(memory_bytes=too_few - 1)
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


@example("x" * 256)
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

import json
import shutil
import time
from pathlib import Path

import psutil
import pytest
from clients import wheel

from local_sagemaker.archives import pack

SCRIPTS = Path(__file__).parents[1] / "inference_scripts"
CSV = {"content_type": "text/csv"}


@pytest.fixture(scope="module")
def container(start_container):
    return start_container(invocation_seconds=30)


@pytest.fixture
def load(container, write_model):
    """A function that writes a model with an ``inference.py``, loads it, and asserts that it is loaded."""
    names = []

    def load(name: str, script: str, **library: str) -> None:
        answer = container.load(name, write_model(name, (SCRIPTS / f"{script}.py").read_text(), **library))
        assert answer[0] == 200, answer
        names.append(name)

    yield load
    for name in names:
        container.call("DELETE", f"/models/{name}")


def invoke(name: str, body: str, **headers: str) -> tuple:
    return "POST", f"/models/{name}/invoke", body.encode(), headers


def ask(container, name: str, body: str, **headers: str) -> tuple[int, str, bytes]:
    return container.together(invoke(name, body, **headers))[0]


def handler_processes() -> list[psutil.Process]:
    """The processes of this test run that serve an ``inference.py``, keepers included."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("handler_process.py" in argument for argument in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_of_modules_of_one_name_in_two_models_that_of_the_first_counts_as_on_aws(start_container, write_model):
    container = start_container()
    script = (SCRIPTS / "library.py").read_text()
    for name in ("one", "two"):
        assert container.load(name, write_model(name, script, shared=f"name = {name!r}\ncalls = 0\n"))[0] == 200
    for count in (1, 2):
        for name in ("one", "two"):
            status, kind, body = ask(container, name, "")
            assert (status, kind) == (200, "text/plain")
            assert body.decode().startswith(f"one {count} ")
            assert body.decode().endswith(f"/{name}/code/lib")


def test_a_script_finds_its_model_below_opt_ml(container, write_model):
    script = (SCRIPTS / "container_paths.py").read_text()
    model = write_model("labelled", script, paths="FOLDER = '/opt/ml/models'\n")
    (model / "labels.txt").write_text("cat")
    assert container.load("labelled", model)[0] == 200
    assert ask(container, "labelled", "") == (200, "text/plain", b"cat cat")
    container.call("DELETE", "/models/labelled")


def test_a_universal_script_serves_models_that_bring_none(start_container, write_model, tmp_path):
    code = tmp_path / "universal"
    (code / "lib").mkdir(parents=True)
    (code / "lib" / "word.py").write_text("WORD = 'universal'\n")
    (code / "inference.py").write_text("import word\n\ndef handler(data, context):\n    return word.WORD, None\n")
    container = start_container(universal_code=code)
    assert container.load("none", write_model("none"))[0] == 200
    assert container.load("own", write_model("own", (SCRIPTS / "pair.py").read_text()))[0] == 200
    assert ask(container, "none", "")[2] == b"universal"
    assert ask(container, "own", "1,2", **CSV)[2] == b"2.0,4.0"


def load_single(container, folder):
    request = {"model_name": "m", "url": str(folder), "single": True}
    return container.call("POST", "/models", json.dumps(request).encode())


def test_a_single_model_has_its_siblings_and_requirements_on_the_path(
    start_container, write_model, tmp_path, monkeypatch
):
    greeting = tmp_path / "greeting-1.0-py3-none-any.whl"
    greeting.write_bytes(wheel("greeting", "WORD = 'hello'\n"))
    model = write_model("single", (SCRIPTS / "siblings.py").read_text())
    (model / "code" / "lib").rmdir()
    (model / "code" / "sibling.py").write_text("WORD = open('/opt/ml/model/word.txt').read()\n")
    (model / "code" / "requirements.txt").write_text(f"{greeting}\n")
    (model / "word.txt").write_text("sister")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    container = start_container()
    assert load_single(container, model)[0] == 200
    assert container.raw("POST", "/invocations") == (200, "text/plain", b"hello sister None model:predict")


def test_one_of_several_models_of_an_archive_is_chosen_by_its_name(start_container, models, tmp_path):
    shutil.copytree(models / "linear" / "2", tmp_path / "m/export/Servo/1")
    shutil.copytree(models / "linear" / "10", tmp_path / "m/other/1")
    container = start_container()
    assert load_single(container, tmp_path / "m")[0] == 200

    def ask_for(attributes):
        headers = {"content_type": "text/csv", "x_amzn_sagemaker_custom_attributes": attributes}
        return container.call("POST", "/invocations", b"1,2\n", **headers)

    assert ask_for("") == ask_for("tfs-model-name=Servo,tfs-model-version=1") == (200, {"predictions": [[2, 4]]})
    assert ask_for("tfs-model-name=other") == (200, {"predictions": [[10, 20]]})
    assert ask_for("tfs-model-name=none") == (404, {"error": "Servable not found for request: Latest(none)"})


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("exit", "bye"),
        ("end", "The handler's process ended during the call."),
        ("kill", "The handler's process ended during the call."),
        ("close", "The handler's process ended during the call."),
        ("answer a number", "The handler returned a body of type int; return text or bytes."),
        ("inject", "The handler returned the content type"),
    ],
)
def test_a_handler_that_fails_is_an_error_with_the_reason_and_answers_the_next_call(container, load, action, reason):
    load("bad", "misbehaving")
    load("good", "pair")
    answers = container.together(invoke("bad", action), invoke("good", "1,2", **CSV))
    status, kind, body = answers[0]
    assert (status, kind) == (500, "application/json")
    assert json.loads(body)["error"].startswith(reason)
    assert answers[1] == (200, "text/csv", b"2.0,4.0")
    assert ask(container, "bad", "again") == (200, "application/json", b"again")


def test_what_a_handler_prints_goes_to_the_containers_log_and_nowhere_else(container, load, capfd):
    load("loud", "misbehaving")
    assert ask(container, "loud", "print") == (200, "application/json", b"print")
    assert capfd.readouterr().out.count("printed") == 10_000


@pytest.mark.slow
def test_a_handler_that_hangs_is_ended_in_time_and_disturbs_nobody(start_container, write_model):
    container = start_container(invocation_seconds=3)
    for name, script in (("bad", "misbehaving"), ("good", "pair")):
        assert container.load(name, write_model(name, (SCRIPTS / f"{script}.py").read_text()))[0] == 200
    started = time.monotonic()
    hanging = [invoke("bad", "hang")] * 6  # more than are answered at the same time
    *hung, good = container.together(*hanging, invoke("good", "1,2", **CSV))
    assert good == (200, "text/csv", b"2.0,4.0")
    for status, _, body in hung:
        assert status == 500
        assert b"did not answer within 3 seconds" in body or b"ended during the call" in body
    assert time.monotonic() - started < 20
    assert ask(container, "bad", "again") == (200, "application/json", b"again")


def test_calls_of_one_handler_run_at_the_same_time(container, load):
    load("bad", "misbehaving")
    answers = container.together(*(invoke("bad", str(number)) for number in range(50)))
    assert [body for _, _, body in answers] == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize(
    ("inference", "reason"),
    [
        ("def handler(", "SyntaxError: "),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('stop')", "SystemExit: stop"),
        ("", "NotImplementedError: Handlers are not implemented correctly in user script."),
        ("def input_handler(data, context): ...", "NotImplementedError: Handlers are not implemented correctly"),
        ("import os; os._exit(0)", "The process ended while it imported inference.py."),
        ("import settings", "ModuleNotFoundError: No module named 'settings'"),  # local_sagemaker's are not the user's
        ("import inference", "ModuleNotFoundError: No module named 'inference'"),  # code/ is not on the path on AWS
    ],
)
def test_an_inference_script_that_cannot_be_loaded_is_an_error_and_the_log_says_why(
    container, write_model, inference, reason, caplog
):
    before = len(handler_processes())
    status, answer = container.load("broken", write_model("broken", inference))
    assert (status, answer) == (500, {"title": "500 Internal Server Error"})
    assert f"loading broken failed: HandlerError: {reason}" in caplog.text  # the endpoint's log
    assert container.call("GET", "/models/broken")[0] == 404
    assert len(handler_processes()) == before


@pytest.mark.slow
def test_an_import_that_hangs_is_ended_and_disturbs_nobody(start_container, write_model, caplog):
    container = start_container(load_seconds=3)
    url = write_model("hanging", "import time\ntime.sleep(3600)")
    good = write_model("good")
    document = json.dumps({"model_name": "good", "url": str(good)}).encode()
    hanging = json.dumps({"model_name": "hanging", "url": str(url)}).encode()
    answers = container.together(("POST", "/models", hanging, {}), ("POST", "/models", document, {}))
    assert [status for status, _, _ in answers] == [500, 200]
    assert "inference.py was not imported within 3 seconds" in caplog.text


def test_unloading_ends_the_process_and_its_children(container, write_model):
    before = handler_processes()
    script = (SCRIPTS / "misbehaving.py").read_text()
    child = "import subprocess\nsubprocess.Popen(['sleep', '3600'])\n"
    assert container.load("m", write_model("m", child + script.replace('"""', "#", 2)))[0] == 200
    processes = [process for process in handler_processes() if process not in before]
    family = processes + [child for process in processes for child in process.children(recursive=True)]
    assert any(process.cmdline() == ["sleep", "3600"] for process in family)
    assert container.call("DELETE", "/models/m")[0] == 200
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


def test_unloading_ends_the_calls_under_way(container, load):
    load("bad", "misbehaving")
    answers = container.together(invoke("bad", "hang"), ("DELETE", "/models/bad", b"", {}))
    assert [status for status, _, _ in answers] == [500, 200]


def test_a_model_with_an_inference_script_behind_an_endpoint(service, endpoint, models_bucket, write_model, tmp_path):
    for name in ("pair", "forwarding"):
        pack(write_model(name, (SCRIPTS / f"{name}.py").read_text()), tmp_path / f"{name}.tar.gz")
        service.s3.upload_file(str(tmp_path / f"{name}.tar.gz"), models_bucket, f"models/handled-{name}.tar.gz")
    response = service.runtime.invoke_endpoint(
        EndpointName=endpoint, TargetModel="handled-pair.tar.gz", ContentType="text/csv", Body="1,2\n3,4"
    )
    assert (response["ContentType"], response["Body"].read()) == ("text/csv", b"2.0,4.0\n6.0,8.0")
    attributes = {"CustomAttributes": "tfs-model-version=2,mine=1", "Accept": "application/x-mine"}
    told = service.endpoints.invoke(endpoint, {"instances": [[1, 2]]}, target="handled-forwarding.tar.gz", **attributes)
    assert told["answer"] == {"predictions": [[2, 4]]}
    assert (told["context"]["custom_attributes"], told["context"]["timeout"]) == (attributes["CustomAttributes"], 55)
    with pytest.raises(service.runtime.exceptions.ModelError) as failure:
        service.endpoints.invoke(endpoint, {"instances": [[1, 2]]}, target="handled-pair.tar.gz")
    assert failure.value.response["OriginalStatusCode"] == 500
    assert "unsupported content type application/json" in failure.value.response["OriginalMessage"]

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from clients import eventually

from local_sagemaker import daemon
from local_sagemaker.__main__ import main


def test_start_status_env_stop_reset(tmp_path, capsys):
    home = ["--home", str(tmp_path / "home")]
    assert main([*home, "status"]) == 1
    command = f"python -m local_sagemaker --home {tmp_path}/home"
    assert f"Start one: {command} start" in capsys.readouterr().err
    assert main([*home, "start"]) == 0
    said = capsys.readouterr().out
    assert "local_sagemaker runs at http://127.0.0.1:" in said
    assert f'eval "$({command} env)"' in said
    assert main([*home, "status"]) == 0
    capsys.readouterr()
    assert main([*home, "env"]) == 0
    script = capsys.readouterr().out + 'printf %s "$AWS_ENDPOINT_URL $AWS_SECRET_ACCESS_KEY"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    environment = daemon.status(tmp_path / "home").environment
    assert said == f"{environment['AWS_ENDPOINT_URL']} {environment['AWS_SECRET_ACCESS_KEY']}"
    foreign = {"AWS_ENDPOINT_URL_S3": "http://elsewhere", "AWS_PROFILE": "mine"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in foreign.items():
            patch.setenv(name, value)
        assert main([*home, "env"]) == 0
    script = capsys.readouterr().out + 'printf %s "$AWS_ENDPOINT_URL_S3$AWS_PROFILE"'
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, env=foreign).stdout == b""
    assert main([*home, "stop"]) == 0
    assert main([*home, "stop"]) == 0
    assert capsys.readouterr().out.endswith("Stopped.\nNo server is running.\n")
    assert main([*home, "env"]) == 1
    assert main([*home, "reset"]) == 0
    assert main(["--home", str(tmp_path / "none"), "reset"]) == 0
    assert f"There is no state in {tmp_path / 'none'}." in capsys.readouterr().out
    assert list((tmp_path / "home").iterdir()) == []


def test_an_error_is_one_sentence_and_an_exit_code(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--home", str(tmp_path / "file"), "start"]) == 1
    assert capsys.readouterr().err.startswith("The home folder ")


@pytest.mark.parametrize("arguments", [[], ["wonder"], ["start", "--port", "x"], ["--home", "~n0b0dy/x", "stop"]])
def test_arguments_are_checked(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m local_sagemaker" in capsys.readouterr().err


def accept_ctrl_c():
    """Whoever starts the tests in the background may have Ctrl-C ignored by all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_server_in_the_foreground(tmp_path):
    command = [sys.executable, "-m", "local_sagemaker", "--home", str(tmp_path / "home"), "serve"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=accept_ctrl_c,
    ) as server:
        eventually(lambda: daemon.status(tmp_path / "home"))
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=120)
    assert daemon.status(tmp_path / "home") is None
    assert "Traceback" not in said


def test_fit_says_how_limits_are_written(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "model.tar.gz", "--memory-bytes", "4GiB"])
    assert "'4GiB' is no number of bytes; pass a whole one, such as 4294967296" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_tells_programs_how_many_copies_of_a_model_fit(model_archives, capsys):
    limits = ["--memory-bytes", str(5 * 2**20), "--disk-bytes", str(2**30)]
    assert main(["fit", str(model_archives["heavy"]), *limits, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["copies"], document["memory_limit"]) == (4, 5 * 2**20)


def test_fit_names_what_is_wrong_with_an_archive(tmp_path, capsys):
    (tmp_path / "model.tar.gz").write_text("no archive")
    assert main(["fit", str(tmp_path / "model.tar.gz")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{tmp_path}/model.tar.gz: The archive is no readable tar.gz file")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_leaves_nothing_behind(model_archives, tmp_path, number):
    command = [sys.executable, "-m", "local_sagemaker", "fit", str(model_archives["heavy"])]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=accept_ctrl_c) as fit:
        children = eventually(lambda: _measuring(fit.pid))
        fit.send_signal(number)
        _, said = fit.communicate(timeout=120)
    assert fit.returncode == 128 + number
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    assert not any(child.is_running() for child in children)


def _measuring(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return children if len(children) > 1 else []  # the keeper, and what it keeps

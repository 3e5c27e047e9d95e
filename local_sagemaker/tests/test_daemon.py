import errno
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from clients import Service, eventually, family, gone

from local_sagemaker import daemon
from local_sagemaker.daemon import DaemonError

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    """A home folder of the test's own; whatever runs in it is stopped afterwards."""
    folder = tmp_path / "home"
    yield folder
    if folder.is_dir():
        daemon.stop(folder)


def test_on_windows_it_names_the_way_out():
    without = "import sys; sys.modules['fcntl'] = None; import local_sagemaker.daemon"
    finished = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True)
    assert "ImportError: local_sagemaker needs the file locks of Linux or macOS." in finished.stderr
    assert "in WSL" in finished.stderr


def test_a_profile_of_the_users_that_is_not_there_is_no_matter(home, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "not-in-any-file")
    assert daemon.start(home) == daemon.status(home)
    assert os.environ["AWS_PROFILE"] == "not-in-any-file"


def test_starting_twice_finds_the_same_server_and_stopping_ends_it(home, local_server):
    assert daemon.status(home) is None
    first = daemon.start(home)
    assert daemon.start(home) == first == daemon.status(home)
    assert first.port != local_server.port
    assert first.environment["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{first.port}"
    with pytest.raises(DaemonError, match=r"already runs at port .* Stop it first"):
        daemon.start(home, port=first.port + 1)
    assert daemon.stop(home)
    assert gone(first.pid)
    assert daemon.status(home) is None
    assert not daemon.stop(home)
    again = daemon.start(home)
    assert (again.port, again.environment) == (first.port, first.environment)


def test_the_home_folder_and_its_keys_are_the_owners_only(local_server):
    assert stat.S_IMODE((local_server.home / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(local_server.home.stat().st_mode) == 0o700
    assert "TelemetryOptOut: true" in (local_server.home / "sagemaker-sdk.yaml").read_text()


def test_it_listens_on_this_machine_only(local_server):
    connections = psutil.Process(local_server.pid).net_connections("inet")
    assert [item.laddr for item in connections if item.status == psutil.CONN_LISTEN] == [
        ("127.0.0.1", local_server.port)
    ]


def test_a_port_that_cannot_be_used_is_named_with_the_way_out(home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for bad, reason in ((port, "Address already in use"), (70_000, "from 1 to 65535"), (-1, "from 1 to 65535")):
            with pytest.raises(DaemonError, match=f"Port {bad} on 127.0.0.1 cannot be used: .*{reason}. Name another"):
                daemon.start(home, port=bad)


def test_a_machine_without_a_free_port_is_told_so(home, monkeypatch):
    def fail(*_):
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", fail)
    with pytest.raises(DaemonError, match=r"^No port on 127\.0\.0\.1 is free: Cannot assign"):
        daemon._listen(home, 0)


def test_a_home_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DaemonError, match=rf"{home} cannot be read or written \(Not a directory\)\. Name a folder"):
            daemon.start(home)
    with pytest.raises(DaemonError, match="cannot be read or written"):
        daemon.reset(tmp_path / "file")
    assert daemon.status(tmp_path / "file") is None


@pytest.mark.parametrize("command", ["start", "serve"])
def test_a_folder_of_the_users_is_refused_and_left_as_it_is(tmp_path, command):
    for name in ("jobs", "objects", "endpoints"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
    (tmp_path / "sagemaker-sdk.yaml").write_text("SchemaVersion: '1.0'\n")  # the user's own
    before = sorted(tmp_path.rglob("*"))
    program = [sys.executable, "-m", "local_sagemaker", "--home", str(tmp_path), command]
    try:
        refused = subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        daemon.stop(tmp_path)
    assert refused.returncode == 1
    assert "is no home folder of local_sagemaker. Name an empty or a new folder" in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_in_another_home_folder_is_refused_as_its_reset_deletes_it(local_server):
    inner = local_server.home / "jobs" / "mine"
    with pytest.raises(
        DaemonError, match=r"lies in .*, another home folder, which deletes it. Name a folder elsewhere"
    ):
        daemon.start(inner)
    assert not inner.exists()


def test_an_empty_folder_and_a_home_of_before_are_taken(home):
    home.mkdir(mode=0o755)
    first = daemon.start(home)
    daemon.stop(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {"objects", "state.sqlite", "sagemaker-sdk.yaml"} <= {path.name for path in home.iterdir()}
    assert daemon.start(home).port == first.port


@pytest.mark.parametrize("temporary", ["temporary", "with a space"])
def test_a_job_does_not_notice_what_characters_the_home_folders_path_has(tmp_path, temporary, monkeypatch):
    home = tmp_path / "Ann's $HOME; (1) * é"
    (tmp_path / temporary).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / temporary))
    service = Service(daemon.start(home))
    try:
        seen = "pwd; echo /opt/ml/*; . /opt/ml/code/x; which pip; cd /opt/ml; cp input/config/resourceconfig.json model"
        job = service.jobs.run(f"echo 'echo sourced' > /opt/ml/code/x; {seen}")
        assert "FailureReason" not in job
        where, folders, sourced, pip = service.jobs.log(job["TrainingJobName"])
        assert (where.split("/opt/ml/")[1], len(folders.split()), sourced) == ("code", 4, "sourced")
        assert pip == where.replace("opt/ml/code", "python/bin/pip")
        assert list(service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])) == ["resourceconfig.json"]
    finally:
        daemon.stop(home)


def test_a_state_that_cannot_be_read_is_named_and_left_as_it_is(home):
    daemon.prepare_home(home)
    for content in (b"no database" * 1000, b""):
        (home / "state.sqlite").unlink(missing_ok=True)
        if content:
            (home / "state.sqlite").write_bytes(content)
        else:
            (home / "state.sqlite").mkdir()
        with pytest.raises(DaemonError, match=r"cannot be read or written: .* Nothing was changed"):
            daemon.start(home)
    (home / "state.sqlite").rmdir()


def test_a_home_of_another_version_is_named_and_left_as_it_is(home):
    daemon.prepare_home(home)
    with sqlite3.connect(home / "state.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    before = (home / "state.sqlite").read_bytes()
    with pytest.raises(DaemonError, match=rf"schema version 99.*another home folder, or reset .*--home {home} reset"):
        daemon.start(home)
    assert (home / "state.sqlite").read_bytes() == before


def test_a_limit_that_is_none_is_told_when_the_server_is_started(home, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_COLD_START_SECONDS", "soon")
    with pytest.raises(DaemonError, match="LOCAL_SAGEMAKER_COLD_START_SECONDS is 'soon'"):
        daemon.start(home)


def test_servers_that_are_started_together_become_one(home):
    program = "import sys; from pathlib import Path; from local_sagemaker import daemon; "
    program += "print(daemon.start(Path(sys.argv[1])).pid)"
    command = [sys.executable, "-c", program, str(home)]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    answers = {starter.communicate(timeout=180)[0].strip() for starter in starters}
    assert len(answers) == 1
    assert answers != {b""}


def test_reset_deletes_the_state_and_only_that(home):
    daemon.prepare_home(home)
    (home / "objects").mkdir()
    (home / "state.sqlite").touch()
    (home / "mine.json").touch()
    daemon.reset(home)
    assert [path.name for path in home.iterdir()] == ["mine.json"]


def test_reset_refuses_a_folder_that_is_no_home(tmp_path):
    (tmp_path / "objects").mkdir()
    (tmp_path / "config.yaml").touch()
    with pytest.raises(DaemonError, match="is no home folder of local_sagemaker"):
        daemon.reset(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"objects", "config.yaml"}


def test_a_start_may_take_long_if_it_makes_progress(home, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: 30 * time.monotonic(), sleep=time.sleep)  # as on a busy machine
    with monkeypatch.context() as patch:
        patch.setattr(daemon, "time", clock)
        assert daemon.start(home)
    daemon.stop(home)
    monkeypatch.setenv("LOCAL_SAGEMAKER_START_SECONDS", "0.01")
    with pytest.raises(DaemonError, match="LOCAL_SAGEMAKER_START_SECONDS to more"):
        daemon.start(home)
    assert daemon.status(home) is None


def test_a_stopped_server_ends_its_jobs(home):
    service = Service(daemon.start(home))
    job = service.jobs.request("echo started; sleep 600")
    service.sagemaker.create_training_job(**job)
    eventually(lambda: "started" in service.jobs.log(job["TrainingJobName"]))
    running = family(service.status.pid)
    assert running
    daemon.stop(home)
    eventually(lambda: all(gone(pid) for pid in running))
    service = Service(daemon.start(home))
    ended = service.sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert ended["TrainingJobStatus"] == "Failed"
    assert "The server was stopped while the job was running" in ended["FailureReason"]

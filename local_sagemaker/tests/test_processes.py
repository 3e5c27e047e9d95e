import os
import signal
import subprocess
import sys

import psutil
import pytest
from clients import eventually, gone

from local_sagemaker.processes import Process

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only there a process adopts what others leave")


@pytest.fixture
def start(tmp_path):
    """A function that starts a shell script as a kept process; what still runs after the test is killed."""
    started = []

    def start_script(script: str, **environment: str) -> Process:
        process = Process(["/bin/sh", "-c", script], environment=dict(os.environ) | environment, folder=tmp_path)
        started.append(process)
        return process

    yield start_script
    for process in started:
        process.kill()
        process.wait()


def lines(process):
    return process.lines(most_bytes=1000)


def test_output_folder_and_environment(start, tmp_path):
    process = start('echo "$WORD"; pwd; echo problem >&2', WORD="hello")
    assert [line.decode() for line in lines(process)] == ["hello", str(tmp_path), "problem"]
    assert process.wait(60) == 0
    assert process.poll() == 0


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)])
def test_the_exit_code_is_the_one_a_shell_would_give(start, script, code):
    assert start(script).wait(60) == code


def test_terminate_lets_the_command_end_in_its_own_way(start):
    process = start("trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    said = lines(process)
    assert next(said) == b"ready"
    process.terminate()
    assert process.wait(60) == 5
    assert list(said)[-1] == b"saved"  # after what the shell says of its own child


def test_kill_ends_the_whole_group(start):
    process = start("trap '' TERM; sleep 600 & echo $!; wait")
    child = int(next(lines(process)))
    process.terminate()
    process.kill()
    process.wait(60)
    eventually(lambda: gone(child))


@pytest.mark.parametrize("session", ["", pytest.param("setsid ", marks=ON_LINUX)])
def test_nothing_that_the_command_started_outlives_it(start, session):
    process = start(f"{session}sleep 600 & echo $!; exit 0")
    [child] = lines(process)
    assert process.wait(60) == 0
    eventually(lambda: gone(int(child)))


def test_a_line_without_an_end_comes_in_parts(start):
    process = start("head -c 2500 /dev/zero | tr '\\0' x; echo; echo next; printf last")
    assert [len(line) for line in lines(process)] == [1000, 1000, 500, 4, 4]


def test_no_descriptor_is_left(start):
    before = psutil.Process().num_fds()
    for _ in range(3):
        process = start("echo x")
        assert list(lines(process)) == [b"x"]
        assert process.wait(60) == 0
    assert psutil.Process().num_fds() == before


def test_signals_after_the_end_are_harmless(start):
    process = start("exit 0")
    process.wait(60)
    process.terminate()
    process.kill()


def test_a_killed_parent_takes_its_kept_processes_along(tmp_path):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from local_sagemaker.processes import Process\n"
        "process = Process(['/bin/sh', '-c', 'sleep 600 & echo $$ $!; wait'],\n"
        "                  environment=dict(os.environ), folder=Path(sys.argv[1]))\n"
        "print(process.pid, next(process.lines(most_bytes=100)).decode(), flush=True)\n"
        "process.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with parent:
        family = [int(word) for word in parent.stdout.readline().split()]
        assert len(family) == 3
        assert not any(gone(pid) for pid in family)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in family))


@pytest.mark.parametrize("session", ["", "setsid "])
def test_a_killed_keeper_leaves_nothing_behind(start, session):
    process = start(f"{session}sleep 600 & echo $$ $!; wait")
    family = [int(word) for word in next(lines(process)).split()]
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(60) == 137
    eventually(lambda: all(gone(pid) for pid in family))

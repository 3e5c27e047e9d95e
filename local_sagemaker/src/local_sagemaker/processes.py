"""Child processes that never outlive the server, not even when it is killed.

The server starts each child through a small keeper process and holds one end of a pipe. When the server ends, however
it ends, the pipe closes, and the keeper ends the child and everything that the child has started. On Linux the keeper
adopts what its descendants leave behind, even in a session of its own; elsewhere it knows the child's process group.
"""

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_MARK = "LOCAL_SAGEMAKER_KEEPER"  # in the environment of all that a keeper keeps
_LOOK = 500  # milliseconds: how soon the end of a keeper is noticed while somebody else holds the output
KEEPER = [sys.executable, "-S", "-E", str(Path(__file__).resolve())]


class Process:
    """A running child with its own process group."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        output: int = subprocess.PIPE,
    ) -> None:
        """Start a command with its whole environment; ``lines`` reads its output, standard error included."""
        self._mark = secrets.token_hex(8)
        self._popen = subprocess.Popen(
            [*KEEPER, *command],
            env={**environment, _MARK: self._mark},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the server's terminal is the server's to handle
        )

    def lines(self, *, most_bytes: int) -> Iterator[bytes]:
        """Yield the lines of the output until the command ends, even if others hold it then; longer ones in parts."""
        output = self._popen.stdout
        assert output is not None
        reading, rest = select.poll(), b""
        reading.register(output, select.POLLIN)
        with output:
            while True:
                ended = self._popen.poll() is not None  # before the look, which then finds all that was written
                if reading.poll(0 if ended else _LOOK):
                    data = os.read(output.fileno(), 64 * 1024)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        yield from _parts(line, most_bytes)
                    while len(rest) > most_bytes:
                        yield rest[:most_bytes]
                        rest = rest[most_bytes:]
                    if data:
                        continue
                elif not ended:
                    continue
                break
        if rest:
            yield rest

    @property
    def pid(self) -> int:
        """Process id of the keeper."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        return self._ended(self._popen.poll())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code, as a shell would."""
        code = self._ended(self._popen.wait(timeout))
        assert code is not None
        return code

    def terminate(self) -> None:
        """Ask the command and what it started to end (SIGTERM)."""
        if self._popen.poll() is None:
            self._popen.terminate()  # the keeper passes it on

    def kill(self) -> None:
        """End the command and what it started at once."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def _ended(self, code: int | None) -> int | None:
        """End what a killed keeper left behind, and return the exit code as a shell would."""
        if code is None:
            return None
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        if code >= 0:
            return code
        import psutil  # here: the keeper runs without installed packages

        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == self._mark:
                    process.kill()
        return 128 - code


def _parts(line: bytes, most_bytes: int) -> Iterator[bytes]:
    for start in range(0, max(len(line), 1), most_bytes):
        yield line[start : start + most_bytes]


def keep(command: Sequence[str]) -> int:
    """Run a command in a process group until it ends or standard input closes; return its exit code as a shell would.

    This is what the keeper process does. Nothing that the command has started outlives it.
    """
    _adopt_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is somebody to pass it on to
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_accept_signals)

    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    def watch() -> None:
        while os.read(0, 1):
            pass
        send(signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda number, _: send(number))
    _accept_signals()
    threading.Thread(target=watch, daemon=True).start()
    while (ended := os.waitpid(-1, 0))[0] != child.pid:
        pass  # an orphan, which would stay a zombie
    code = child.returncode = os.waitstatus_to_exitcode(ended[1])
    send(signal.SIGKILL)  # what the command left running; the group keeps its id while it has a member
    _end_orphans()
    return code if code >= 0 else 128 - code


def _adopt_orphans() -> None:
    """Become the parent of what descendants leave behind, where the system lets a process be that."""
    if sys.platform == "linux":
        import ctypes  # here: not every process of the package needs it

        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _end_orphans() -> None:
    """End this process's children, and theirs, which become its own."""
    with contextlib.suppress(ChildProcessError):  # there is none any more
        while True:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                    if int(fields[1]) == os.getpid():
                        os.kill(int(folder.name), signal.SIGKILL)
            time.sleep(0.01)


def _accept_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))

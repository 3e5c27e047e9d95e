"""Child processes that never outlive the server, not even when it is killed.

The server starts each child through a small keeper process and holds one end of a pipe. When the server ends, however
it ends, the pipe closes, and the keeper ends the child's whole process group. It also ends what the child left behind.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

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
        """Start a command.

        Args:
            command: Program and arguments.
            environment: Its whole environment.
            folder: Its working folder.
            output: Where standard output and error go; a pipe by default, readable as ``output``.
        """
        self._popen = subprocess.Popen(
            [*KEEPER, *command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the server's terminal is the server's to handle
        )
        self.output = self._popen.stdout

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
        if code is None or code >= 0:
            return code
        import psutil  # here: the keeper runs without installed packages

        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
        return 128 - code


def keep(command: Sequence[str]) -> int:
    """Run a command in a process group until it ends or standard input closes; return its exit code as a shell would.

    This is what the keeper process does. No process of the group outlives the command.
    """
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
    code = child.wait()
    send(signal.SIGKILL)  # what the command left running; the group keeps its id while it has a member
    return code if code >= 0 else 128 - code


def _accept_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))

"""Child processes that never outlive the server, not even when it is killed.

The server starts each child through a small keeper process and holds one end of a pipe. When the server ends, however
it ends, the pipe closes, and the keeper ends the child's whole process group.
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
        """Process id of the keeper, which is also the id of the process group."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        return self._popen.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; negative for a signal."""
        return self._popen.wait(timeout)

    def terminate(self) -> None:
        """Ask the command to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole process group at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.killpg(self._popen.pid, number)


def keep(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input closes; return its exit code as a shell would.

    This is what the keeper process does. SIGTERM reaches the command too, as a member of the group.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_restore_signals)

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _restore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))

"""The server as a background process: start, stop, status, reset."""

import contextlib
import gc
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from local_sagemaker.gateway import signing
from local_sagemaker.settings import ACCOUNT_ID, DEFAULT_REGION, HOST, ROLE_ARN, Settings, default_home

try:
    import fcntl
    import resource
except ModuleNotFoundError as error:
    raise ImportError(
        "local_sagemaker needs the file locks of Linux or macOS. On Windows, clone and run the project in WSL, "
        'or use the target "aws".'
    ) from error

_PROGRESS = 0.1  # seconds of a processor: less may be what waiting costs
_SDK_SETTINGS = "sagemaker-sdk.yaml"
# This comment marks a home folder: a file of that name may be the user's own.
_MARK = "# This folder belongs to local_sagemaker, which deletes what it does not know in it.\n"
# The SDK reports usage to AWS unless told not to, and for a session without a bucket's name it asks AWS's own STS.
_SDK_DEFAULTS = f"""SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: sagemaker-{DEFAULT_REGION}-{ACCOUNT_ID}
"""


class DaemonError(RuntimeError):
    """The server cannot be started, reached or stopped; the message names the next step."""


@dataclass(frozen=True)
class Status:
    """A running server."""

    pid: int
    port: int  # on 127.0.0.1
    home: Path
    environment: dict[str, str]  # variables that point boto3, the SDK and the AWS CLI at it
    role_arn: str = ROLE_ARN  # execution role for jobs and models


def status(home: Path | None = None) -> Status | None:
    """Return the running server of a home folder, or None."""
    home = home or default_home()
    try:
        document = json.loads((home / "server.json").read_text())
        pid, port = document["pid"], document["port"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not _is_locked(home):
        return None
    environment = signing.client_environment(signing.load_credentials(home), port)
    region = {"AWS_REGION": DEFAULT_REGION, "AWS_DEFAULT_REGION": DEFAULT_REGION}
    sdk = {"SAGEMAKER_USER_CONFIG_OVERRIDE": str(home / _SDK_SETTINGS)}
    return Status(pid, port, home, environment | region | sdk)


def _settings(home: Path | None) -> Settings:
    try:
        return Settings(home=home or default_home())
    except ValueError as error:
        raise DaemonError(str(error)) from error


def command(name: str, home: Path) -> str:
    """Return the command line that does something with the server of a home folder, such as ``"stop"``."""
    option = [] if home == default_home() else ["--home", str(home)]
    return shlex.join(["python", "-m", "local_sagemaker", *option, name])


def start(home: Path | None = None, *, port: int = 0) -> Status:
    """Start the server in the background, or return the one that runs.

    Port 0 is the previous one if it is free, else any free one.

    Raises:
        DaemonError: If the home folder is another's or cannot be written, the port is in use, or the server does not
            come up.
    """
    settings = _settings(home)
    home = settings.home
    prepare_home(home)
    running = status(home)
    if running:
        if port not in (0, running.port):
            raise DaemonError(
                f"The server of {home} already runs at port {running.port}. Stop it first: {command('stop', home)}"
            )
        return running
    if port:
        _bind(port).close()
    log = home / "server.log"
    with _readable_and_writable(home), log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_sagemaker", "--home", str(home), "serve", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    used, since = 0.0, time.monotonic()  # what it has worked, and when that was last seen to be more
    while max(used, time.monotonic() - since) < settings.start_seconds:
        running = status(home)
        if running and _answers(running.port):
            if running.pid != process.pid:  # another start was quicker; ours must not wait to take over after a stop
                process.kill()
                process.wait()
            return running
        if process.poll() is not None and not _is_locked(home):  # if locked, another start was quicker: wait for it
            break
        time.sleep(0.05)
        worked = _processor_seconds(process.pid)
        if worked > used + _PROGRESS:
            used, since = worked, time.monotonic()
    else:
        process.kill()
        raise DaemonError(
            f"The server was not ready after {settings.start_seconds:g} seconds of work, or without any. "
            f"Set LOCAL_SAGEMAKER_START_SECONDS to more. Its log is {log}."
        )
    tail = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise DaemonError(f"The server did not start: {' '.join(tail)} The whole log is in {log}.")


def _processor_seconds(pid: int) -> float:
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def stop(home: Path | None = None) -> bool:
    """Stop the server, which has the time of the settings before it is killed; return whether one was running."""
    settings = _settings(home)
    home, seconds = settings.home, settings.stop_seconds
    running = status(home)
    if running is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _is_locked(home):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
            deadline += seconds
        time.sleep(0.05)
    return True


def reset(home: Path | None = None) -> None:
    """Stop the server and delete all its state, credentials included; other files of the folder stay.

    Raises:
        DaemonError: If the folder is not empty and holds no state, or cannot be written.
    """
    settings = _settings(home)
    home = settings.home
    _check_ours(home)
    stop(home)
    with _readable_and_writable(home):
        for folder in (settings.objects, settings.jobs, settings.endpoints, settings.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        files = ("state.sqlite*", "logs.sqlite*", "services.*", "credentials.*", "server.json", "server.l*")
        for pattern in (*files, _SDK_SETTINGS):
            for path in home.glob(pattern):
                path.unlink()


def serve(home: Path | None = None, *, port: int = 0) -> None:
    """Run the server in this process until SIGTERM or Ctrl-C.

    Raises:
        DaemonError: If the home folder is another's, in use or cannot be written, or the port is in use.
    """
    # The server answers AWS's API and calls none of it; moto would fail on a profile of the user's that is not there.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    # Imported here: they take seconds, and only this process needs them.
    import uvicorn

    from local_sagemaker.gateway.http_protocol import limited
    from local_sagemaker.records import HomeVersionError
    from local_sagemaker.server import Server, configure_logging

    settings = _settings(home)
    home = settings.home
    prepare_home(home)
    configure_logging()
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where there is no limit that could be named
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    with _lock(home), _listen(home, port) as listener:
        port = listener.getsockname()[1]
        gc.freeze()  # the modules stay; looking through them again would hold up the start, and later calls
        try:
            server = Server(settings, port=port)
        except HomeVersionError as error:
            raise DaemonError(f"{str(error).removesuffix('.')}: {command('reset', home)}") from error
        except (OSError, sqlite3.Error) as error:
            raise DaemonError(
                f"The state in {home} cannot be read or written: {error}. Nothing was changed. Make room on its disk, "
                "or give yourself the right to write all its files."
            ) from error
        # Once others can find the server, Ctrl-C ends it quietly; uvicorn raises it again after its shutdown.
        with contextlib.suppress(KeyboardInterrupt):
            (home / "server.json").write_text(json.dumps({"pid": os.getpid(), "port": port}))
            quiet: dict[str, Any] = {"log_config": None, "access_log": False, "log_level": "warning"}
            config = uvicorn.Config(server, http=limited(settings), lifespan="on", proxy_headers=False, **quiet)
            gc.collect()
            gc.freeze()
            uvicorn.Server(config).run(sockets=[listener])


def prepare_home(home: Path) -> None:
    """Create the home folder, for its owner only, with the SDK's settings in it; the errors are those of ``start``."""
    _check_ours(home)
    with _readable_and_writable(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)  # whatever the umask, and what the folder had before
        (home / _SDK_SETTINGS).write_text(_MARK + _SDK_DEFAULTS)


def _check_ours(home: Path) -> None:
    """Refuse a folder with files of the user's: a server deletes what it does not know below its home folder."""
    with _readable_and_writable(home):
        if home.exists() and any(home.iterdir()) and not _is_home(home):
            raise DaemonError(
                f"{home} holds files and is no home folder of local_sagemaker. "
                "Name an empty or a new folder, by --home or LOCAL_SAGEMAKER_HOME."
            )
        outer = next(filter(_is_home, home.resolve().parents), None)
    if outer:
        raise DaemonError(f"{home} lies in {outer}, another home folder, which deletes it. Name a folder elsewhere.")


def _is_home(folder: Path) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (folder / _SDK_SETTINGS).read_text().startswith(_MARK)
    return False


@contextlib.contextmanager
def _readable_and_writable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DaemonError(
            f"The home folder {home} cannot be read or written ({error.strerror}). "
            "Name a folder you own, by --home or LOCAL_SAGEMAKER_HOME."
        ) from error


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Hold the home folder's lock, which the system releases however the process ends."""
    with (home / "server.lock").open("w") as file:
        deadline = time.monotonic() + 2
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # a status call holds it for an instant, another server for its life
                if time.monotonic() > deadline:
                    raise DaemonError(f"Another server uses {home}. See: {command('status', home)}") from None
                time.sleep(0.02)
        yield


def _is_locked(home: Path) -> bool:
    try:
        file: IO[str]
        with (home / "server.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _listen(home: Path, port: int) -> socket.socket:
    """Return a socket that is bound to a port; for 0, to the one of the server before if it is free."""
    previous = 0
    with contextlib.suppress(OSError, ValueError, KeyError):
        previous = json.loads((home / "server.json").read_text())["port"]
        (home / "server.json").unlink()  # until this server listens, nobody shall find its predecessor's port
    if not port:
        with contextlib.suppress(DaemonError):
            return _bind(previous)
    return _bind(port)


def _bind(port: int) -> socket.socket:
    """Return a socket that is bound to a port, or to any free one for 0."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "a port is a number from 1 to 65535"
        if port == 0:
            raise DaemonError(f"No port on {HOST} is free: {reason}. End another program, then start again.") from error
        raise DaemonError(
            f"Port {port} on {HOST} cannot be used: {reason}. Name another, or leave --port out to take a free one."
        ) from error
    return listener


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False

"""Paths and names of the emulator, and its limits; those of the work within a container are beside that work."""

import errno
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

HOST = "127.0.0.1"
ACCOUNT_ID = "123456789012"  # moto's default account: what it creates for any credentials
PARTITION = "aws"
ROLE_NAME = "LocalSageMakerRole"
DEFAULT_REGION = "us-east-1"
MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
# What AWS documents.
MAX_TAGS = 50
MAX_RANK_LINE_BYTES = 1 << 20  # of the line with the variables of all ranks of a job with MPI
MAX_TARGET_MODEL_CHARACTERS = 1024
MAX_FAILURE_REASON_CHARACTERS = 1024
MAX_PRESIGNED_SECONDS = 7 * 24 * 3600
MAX_CLOCK_SKEW_SECONDS = 15 * 60
MAX_ALARM_SECONDS = 7 * 24 * 3600  # evaluation periods of an alarm together
SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
MAX_CHUNK_LINE_BYTES = 16 * 1024  # of the head of a chunk of a body, and of its trailer
# Of an archive: how large one header may be, how many a member may have, and how deep a file may lie.
MAX_ARCHIVE_HEADER_BYTES = 64 * 1024
MAX_ARCHIVE_HEADERS_IN_A_ROW = 16
MAX_ARCHIVE_DEPTH = 100
MAX_NAME_BYTES = 255  # of file systems
# The path of a Unix socket has 104 bytes on macOS and 108 on Linux; what is made below needs 37 of them.
MAX_TEMPORARY_PATH_BYTES = 104 - 37
# What a container has in its environment before TensorFlow is first used: threads for each session, so that each
# architecture has as many as suit it, and memory that goes back to the system after a model is gone.
RUNTIME_ENVIRONMENT = {"TF_OVERRIDE_GLOBAL_THREADPOOL": "1", "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1"}

# Of the server's environment, what reaches containers and jobs: how to reach the network is a matter of the machine.
INHERITED_VARIABLES = (
    *("LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
)


def inherited(*more: str) -> dict[str, str]:
    """Return those variables, and more of them, as far as they are set."""
    return {name: os.environ[name] for name in (*INHERITED_VARIABLES, *more) if name in os.environ}


def default_home() -> Path:
    """Return the folder that holds all state: ``LOCAL_SAGEMAKER_HOME``, else the user's data folder."""
    return _path("HOME") or user_data_path("local_sagemaker")


def _path(name: str) -> Path | None:
    configured = os.environ.get(f"LOCAL_SAGEMAKER_{name}")
    try:
        return Path(configured).expanduser().absolute() if configured else None
    except RuntimeError as error:
        raise ValueError(f"LOCAL_SAGEMAKER_{name} is {configured!r}: {error}") from error


def shares_architectures() -> bool:
    """Return whether models of one architecture may share a graph: not with ``LOCAL_SAGEMAKER_ENGINE=own``."""
    return _is_first("ENGINE", "shared", "own")


def _is_first(name: str, first: str, second: str) -> bool:
    """Return whether a variable has the first of its two values, which is also the default."""
    chosen = os.environ.get(f"LOCAL_SAGEMAKER_{name}", first)
    if chosen not in (first, second):
        raise ValueError(f"LOCAL_SAGEMAKER_{name} is {chosen!r}. Set it to {first!r} or {second!r}, or unset it.")
    return chosen == first


def max_tensor_dimensions() -> int:
    """Return how many dimensions an input of a model may have: ``LOCAL_SAGEMAKER_MAX_TENSOR_DIMENSIONS``."""
    return int(_number("MAX_TENSOR_DIMENSIONS", 16, os.environ))


def max_handler_bytes() -> int:
    """Return how long a request of a model's ``inference.py`` may be: ``LOCAL_SAGEMAKER_MAX_HANDLER_BYTES``."""
    return int(_number("MAX_HANDLER_BYTES", 512 * MEBIBYTE, os.environ))


def _number(name: str, default: float, environment: Mapping[str, str]) -> float:
    text = environment.get(f"LOCAL_SAGEMAKER_{name}")
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if value <= 0:
        raise ValueError(f"LOCAL_SAGEMAKER_{name} is {text!r}. Set it to a positive number, or unset it.")
    return value


def _limit(name: str, default: float) -> Any:
    """Return a field that the environment may set: a time, if its name says so, else a whole number."""
    kind = float if name.endswith("_SECONDS") else int
    return field(default_factory=lambda: kind(_number(name, default, os.environ)))


@dataclass(frozen=True)
class Settings:
    """Limits of one server. Sizes are in bytes, times in seconds.

    Each limit can be set through the environment variable named beside it, prefixed ``LOCAL_SAGEMAKER_``.
    """

    home: Path = field(default_factory=default_home)
    # File that distinct requests are recorded in; None records nothing.
    transcript: Path | None = field(default_factory=lambda: _path("TRANSCRIPT"))

    # Of connections: how many, how large the head of a request may be, how long a client may be silent while the server
    # waits for it, and how much of all bodies the server takes at one time.
    max_connections: int = _limit("MAX_CONNECTIONS", 1000)
    max_head_bytes: int = _limit("MAX_HEAD_BYTES", 64 * 1024)
    idle_seconds: float = _limit("IDLE_SECONDS", 60)
    max_waiting_bytes: int = _limit("MAX_WAITING_BYTES", 2 * GIBIBYTE)
    max_request_bytes: int = _limit("MAX_REQUEST_BYTES", 512 * MEBIBYTE)
    # The documented body limit of InvokeEndpoint.
    max_invocation_bytes: int = _limit("MAX_INVOCATION_BYTES", 6 * MEBIBYTE)
    # For so long the server may work before it is ready, or do nothing, whatever else keeps the machine busy; and for
    # so long it may take to end its jobs and containers.
    start_seconds: float = _limit("START_SECONDS", 60)
    stop_seconds: float = _limit("STOP_SECONDS", 30)

    # Memory for the weights and own graphs of one instance's loaded models, and disk for its unpacked models.
    instance_memory_bytes: int = _limit("INSTANCE_MEMORY_BYTES", 4 * GIBIBYTE)
    instance_disk_bytes: int = _limit("INSTANCE_DISK_BYTES", 16 * GIBIBYTE)
    # SageMaker answers a cold call within 60 s, or with ModelNotReadyException, and goes on loading for up to 360 s.
    cold_start_seconds: float = _limit("COLD_START_SECONDS", 60)
    model_load_seconds: float = _limit("MODEL_LOAD_SECONDS", 360)
    # For so long a model that failed to load may not have others unloaded, nor a bad archive others deleted.
    failure_seconds: float = _limit("FAILURE_SECONDS", 300)
    # Models of one instance whose download or load is under way, and how many more may wait for it. Of these loads, the
    # container works on two at a time.
    max_concurrent_loads: int = _limit("MAX_CONCURRENT_LOADS", 4)
    max_queued_loads: int = _limit("MAX_QUEUED_LOADS", 200)
    # Calls of one instance that are under way or wait; the next one is refused.
    max_queued_calls: int = _limit("MAX_QUEUED_CALLS", 1000)
    # A model with so many calls under way on every instance that holds it spreads to another one.
    hot_model_calls: int = _limit("HOT_MODEL_CALLS", 8)
    invocation_seconds: float = _limit("INVOCATION_SECONDS", 60)
    # Connections to a container that stay open without a call; more are closed after their answer.
    idle_connections: int = _limit("IDLE_CONNECTIONS", 64)

    # Whether a process that has imported TensorFlow waits to become a container; it takes some 300 MiB of memory.
    keeps_spare_container: bool = field(default_factory=lambda: _is_first("SPARE_CONTAINER", "yes", "no"))
    # How long after a container's start the next spare one starts.
    spare_container_delay_seconds: float = _limit("SPARE_CONTAINER_DELAY_SECONDS", 10)
    # How often a container that does not start again is tried before its instance is given up.
    container_starts: int = _limit("CONTAINER_STARTS", 3)
    container_start_seconds: float = _limit("CONTAINER_START_SECONDS", 180)
    # How long a container may take to answer /ping, how often it is asked, and how often in a row it may fail.
    ping_seconds: float = _limit("PING_SECONDS", 2)
    ping_interval_seconds: float = _limit("PING_INTERVAL_SECONDS", 10)
    max_failed_pings: int = _limit("MAX_FAILED_PINGS", 5)
    # How often the number of loaded models and the utilization are published.
    metrics_seconds: float = _limit("METRICS_SECONDS", 60)
    # For so long the metrics of endpoints are known by the second, and then by the minute, and for so long at all.
    metric_detail_seconds: float = _limit("METRIC_DETAIL_SECONDS", 600)
    metric_max_seconds: float = _limit("METRIC_MAX_SECONDS", 15 * 24 * 3600)
    # The lines of all log streams: how large their file may become, and how old they.
    max_log_bytes: int = _limit("MAX_LOG_BYTES", 256 * MEBIBYTE)
    log_max_seconds: float = _limit("LOG_MAX_SECONDS", 30 * 24 * 3600)
    # The requests to IAM, CloudWatch and their like that a start answers again; more are kept as their result.
    max_journal_requests: int = _limit("MAX_JOURNAL_REQUESTS", 500)

    # What a training job gets between SIGTERM and SIGKILL when it is stopped.
    stop_grace_seconds: float = _limit("STOP_GRACE_SECONDS", 120)
    # Time between two looks at a training job's checkpoints, which are then copied to S3.
    checkpoint_seconds: float = _limit("CHECKPOINT_SECONDS", 2)

    # How long the regular expression of a metric may take for a line.
    regex_seconds: float = _limit("REGEX_SECONDS", 0.5)
    # A longer line of output comes in parts. CloudWatch Logs takes events of so many bytes.
    max_line_bytes: int = _limit("MAX_LINE_BYTES", 256 * 1024)

    # A model archive: what it may unpack to, and into how many files.
    max_archive_bytes: int = _limit("MAX_ARCHIVE_BYTES", 8 * GIBIBYTE)
    max_archive_members: int = _limit("MAX_ARCHIVE_MEMBERS", 10_000)

    def limited_by(self, environment: Mapping[str, str]) -> "Settings":
        """Return these settings with the memory and disk of an instance that a model's ``Environment`` asks for.

        Raises:
            ValueError: If one of the two is no positive number.
        """
        return replace(
            self,
            instance_memory_bytes=int(_number("INSTANCE_MEMORY_BYTES", self.instance_memory_bytes, environment)),
            instance_disk_bytes=int(_number("INSTANCE_DISK_BYTES", self.instance_disk_bytes, environment)),
        )

    @property
    def database(self) -> Path:
        """SQLite file with all SageMaker resources and the index of S3 objects."""
        return self.home / "state.sqlite"

    @property
    def logs(self) -> Path:
        """SQLite file with the lines of the log streams that the emulator writes."""
        return self.home / "logs.sqlite"

    @property
    def services(self) -> Path:
        """File with the state of IAM, CloudWatch, Logs and Auto Scaling, as of some recent request."""
        return self.home / "services.pickle"

    @property
    def objects(self) -> Path:
        """Folder with the bytes of every S3 object."""
        return self.home / "objects"

    @property
    def jobs(self) -> Path:
        """Folder with one ``/opt/ml`` per instance of each training job."""
        return self.home / "jobs"

    @property
    def temporary(self) -> Path:
        """Folder of this server alone for what a home folder's path may be too long for, or hold a space too many.

        These are the containers' Unix sockets, and a link to the folder of each training job: the SDK's driver does not
        quote its paths.
        """
        home = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        folder = tempfile.gettempdir()
        is_plain = shlex.quote(folder) == folder and len(os.fsencode(folder)) <= MAX_TEMPORARY_PATH_BYTES
        return Path(folder if is_plain else "/tmp", f"lsm-{home}")

    def make_temporary(self) -> None:
        """Make that folder if it is not there: some systems tidy up. An ``OSError`` tells that it is another user's."""
        self.temporary.mkdir(mode=0o700, exist_ok=True)
        status = self.temporary.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise FileExistsError(errno.EEXIST, "It is another user's", str(self.temporary))
        self.temporary.chmod(0o700)

    @property
    def endpoints(self) -> Path:
        """Folder with the disks of the serving instances."""
        return self.home / "endpoints"


def arn(service: str, resource: str, *, region: str = DEFAULT_REGION) -> str:
    """Return the Amazon resource name of a resource in the emulator's account."""
    return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT_ID}:{resource}"


def region_of(resource: str) -> str:
    """Return the AWS Region of a resource by its Amazon resource name."""
    return resource.split(":")[3]


ROLE_ARN = f"arn:{PARTITION}:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"

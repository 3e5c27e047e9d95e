"""Checkpoints of a training job: in S3 soon after they are written, and back in the folder at the next start."""

import logging
import threading
from pathlib import Path
from typing import Any

from local_sagemaker import s3_addresses
from local_sagemaker.errors import validation
from local_sagemaker.services.objects import Objects
from local_sagemaker.training.channels import restore
from local_sagemaker.training.opt_ml import CONTAINER_PATH, InputError, OptMl

DEFAULT_PATH = "/opt/ml/checkpoints"
logger = logging.getLogger(__name__)


def check(config: dict[str, Any]) -> None:
    """Refuse a ``CheckpointConfig`` that cannot be honored here."""
    path = config.get("LocalPath", DEFAULT_PATH)
    if not path.startswith(f"{CONTAINER_PATH}/") or ".." in path.split("/"):
        raise validation(f"local_sagemaker keeps checkpoints below {CONTAINER_PATH}, and LocalPath is {path!r}.")


class Checkpoints:
    """Copies the checkpoints of all instances of a job to S3 while it runs."""

    def __init__(self, config: dict[str, Any], instances: list[OptMl], objects: Objects, *, seconds: float) -> None:
        """Name the places; the files are looked at every so many seconds."""
        self._uri = config["S3Uri"]
        self._bucket, prefix = s3_addresses.parse(self._uri)
        self._prefix = prefix.rstrip("/")
        self._folders = [Path(instance.localize(config.get("LocalPath", DEFAULT_PATH))) for instance in instances]
        self._objects = objects
        self._seconds = seconds
        self._known: dict[Path, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="checkpoints")

    def start(self) -> None:
        """Give every instance what lies in S3, and begin to watch; an ``InputError`` tells what cannot be there."""
        if not self._objects.has_bucket(self._bucket):
            raise InputError(f"ClientError: The bucket {self._bucket!r} of the checkpoints does not exist.")
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            restore(self._uri, folder, self._objects)
            self._known |= {path: _state(path) for path in _files(folder)}
        self._thread.start()

    def finish(self) -> None:
        """Copy what is new, and end watching."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._copy()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._copy()
            except OSError:  # a file went away while it was read; the next look tells
                logger.info("copying checkpoints to %s will be tried again", self._uri, exc_info=True)

    def _copy(self) -> None:
        for folder in self._folders:
            for path in _files(folder):
                state = _state(path)
                if self._known.get(path) != state:
                    key = f"{self._prefix}/{path.relative_to(folder).as_posix()}".lstrip("/")
                    self._objects.put(self._bucket, key, path)
                    self._known[path] = state


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size

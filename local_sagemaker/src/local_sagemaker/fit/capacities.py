"""The capacity of an instance: how many copies of a user's own model fit on it, by measurement.

Copies of the model are unpacked by the code that unpacks archives for an instance, and loaded in a child process by the
code that the container consists of (``footprints``). What was measured is then set against the limits in ``settings``,
by the rules of ``LoadedModels`` and ``ModelDisk``.
"""

import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from local_sagemaker import archives
from local_sagemaker.archives import ArchiveError
from local_sagemaker.container.versions import BasePathError, NeverLoadedError, saved_bytes, versions
from local_sagemaker.hosting.model_disk import with_prepared
from local_sagemaker.processes import Process
from local_sagemaker.settings import RUNTIME_ENVIRONMENT, Settings

COPIES = 4
_EXPORT = "Write the SavedModel to FOLDER/1, and pack it: tar -czf model.tar.gz -C FOLDER ."


class ModelError(ValueError):
    """The model cannot be measured; the message tells why, and what to do."""


@dataclass(frozen=True)
class Capacity:
    """What a model needs, and how many copies of it an instance holds at one time."""

    model: str  # the archive or folder as it was named
    measured: dict[str, Any]  # what `footprints` measured
    unpack_seconds: float  # unpacking the archive, or copying the folder, median
    forecast_bytes: int  # what a model counts while it is being loaded: its weights' files
    unpacked_bytes: int  # what the archive unpacks to
    disk_bytes: int  # what a copy takes on the disk, with its prepared weights
    memory_limit: int  # memory of the instance for models
    disk_limit: int  # disk of the instance for models

    @property
    def copies_in_memory(self) -> int | None:
        """How many the memory limit admits; None if a copy counts nothing."""
        counted: int = self.measured["counted_bytes"]
        if max(self.forecast_bytes, counted) > self.memory_limit:
            return 0
        if counted == 0:
            return None
        # Before a copy is loaded its forecast must fit, and afterwards what it counts.
        return min((self.memory_limit - self.forecast_bytes) // counted + 1, self.memory_limit // counted)

    @property
    def copies_on_disk(self) -> int:
        """How many the disk limit admits."""
        needed = with_prepared(self.unpacked_bytes, self.disk_limit)
        return 0 if needed > self.disk_limit else (self.disk_limit - needed) // self.disk_bytes + 1

    @property
    def copies(self) -> int:
        """How many are loaded at one time, before the least recently used one must go."""
        in_memory = self.copies_in_memory
        return self.copies_on_disk if in_memory is None else min(in_memory, self.copies_on_disk)

    def memory_of(self, copies: int) -> tuple[int, int]:
        """Return the anonymous memory and the mapped files of a container with so many copies, in bytes."""
        first, further, container = (self.measured[part] for part in ("first", "further", "container"))
        return tuple(
            container[kind] + (first[kind] + (copies - 1) * further[kind] if copies else 0)
            for kind in ("anonymous", "mapped")
        )

    def document(self) -> dict[str, Any]:
        """Return everything for programs."""
        anonymous, mapped = self.memory_of(self.copies)
        counts = {name: getattr(self, name) for name in ("copies", "copies_in_memory", "copies_on_disk")}
        return asdict(self) | counts | {"memory_of_copies": {"anonymous": anonymous, "mapped": mapped}}


def measure(model: Path, settings: Settings, *, copies: int = COPIES) -> Capacity:
    """Load at least two copies of a model, an archive or its folder, and tell how many an instance holds.

    Raises:
        ModelError: If it is no model that can be loaded.
        OSError: If the copies cannot be written.
    """
    if not model.exists():
        raise ModelError(f"There is no {model}. Name a .tar.gz archive, or the folder that was packed into it.")
    with tempfile.TemporaryDirectory(prefix="lsm-fit-") as name:
        folders = [Path(name, f"copy-{number}") for number in range(copies)]
        seconds = sorted(_write(model, folder, settings) for folder in folders)
        unpacked = archives.tree_size(folders[0])
        forecast = _check(model, folders[0])
        measured = _measure(folders, Path(name))
        return Capacity(
            model=str(model),
            measured=measured,
            unpack_seconds=seconds[len(seconds) // 2],
            forecast_bytes=forecast,
            unpacked_bytes=unpacked if model.is_dir() else archives.stated_bytes(model),
            disk_bytes=archives.tree_size(folders[0]),
            memory_limit=settings.instance_memory_bytes,
            disk_limit=settings.instance_disk_bytes,
        )


def _write(model: Path, folder: Path, settings: Settings) -> float:
    """Unpack or copy the model and return how long it took, in seconds."""
    started = time.perf_counter()
    if model.is_dir():
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.weights"))
    else:
        limits = {"max_bytes": settings.max_archive_bytes, "max_members": settings.max_archive_members}
        try:
            archives.unpack(model, folder, **limits)
        except ArchiveError as error:
            raise ModelError(f"{model}: {str(error).removesuffix('.')}. {_EXPORT}") from error
    return time.perf_counter() - started


def _check(model: Path, folder: Path) -> int:
    """Return the size of the weights' files of all versions, in bytes."""
    try:
        return sum(map(saved_bytes, versions(folder, str(model)).values()))
    except (BasePathError, NeverLoadedError) as error:
        raise ModelError(
            f"{model} holds no model: at its top must be a folder named by a number, such as 1, with a saved_model.pb "
            f"in it. {_EXPORT}"
        ) from error


def _measure(folders: list[Path], workplace: Path) -> dict[str, Any]:
    result, log = workplace / "result.json", workplace / "log.txt"
    command = [sys.executable, "-m", "local_sagemaker.fit.footprints", str(result), *map(str, folders)]
    # One arena for all threads: of others, glibc's malloc_trim leaves the end, up to twice the largest block that was
    # ever freed. Which threads load a copy, and so how much of that there is, depends on how busy the machine is.
    environment = dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "2", "MALLOC_ARENA_MAX": "1"} | RUNTIME_ENVIRONMENT
    with log.open("wb") as output:
        process = Process(command, environment=environment, folder=workplace, output=output.fileno())
        try:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    if code or not result.exists():
        last = log.read_text(errors="replace").strip()[-500:]
        ended = f"ended with the code {code}" + (" (memory was exhausted?)" if code == 137 else "")
        raise ModelError(f"The process that loads the model {ended}. Its last words: {last}")
    document: dict[str, Any] = orjson.loads(result.read_bytes())
    if "error" in document:
        raise ModelError(f"{document['error'].removesuffix('.')}. Export the model again.")
    return document

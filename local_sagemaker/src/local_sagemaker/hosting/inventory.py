"""The inventory of an instance's disk: which models lie wholly on it, so that they outlast a restart of the server.

A model is entered once it was unpacked and loaded, and crossed out before its files are deleted. An entry counts while
S3 has the same object, no file is missing, and the machine was not started anew, which may have lost what was not yet
written. Whatever else lies on the disk is deleted.

The entries are the emulator's own: they lie beside the disk, not on it.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil

from local_sagemaker import archives
from local_sagemaker.hosting.model_states import Model, ModelSource, State
from local_sagemaker.services.objects import Objects

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # on Linux


class Inventory:
    """The entries of one disk, a file for each."""

    def __init__(self, disk: Path) -> None:
        """Describe the inventory of a disk; nothing is read or written yet."""
        self._disk = disk
        self._folder = disk.with_name(f"{disk.name}-inventory")

    def has(self, model: Model) -> bool:
        """Return whether a model is entered."""
        return self._path(model.source.model_name).exists()

    def add(self, model: Model) -> None:
        """Enter a model that lies wholly on the disk."""
        entry = {"source": asdict(model.source), "etag": model.etag, "unpacked": model.unpacked, "boot": _boot()}
        path = self._path(model.source.model_name)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(entry))
        partial.replace(path)

    def remove(self, model: Model) -> None:
        """Cross a model out."""
        self._path(model.source.model_name).unlink(missing_ok=True)

    def restore(self, objects: Objects) -> list[Model]:
        """Return the models on the disk that S3 still has, the one that was entered first in front; delete all else."""
        models = {model.source.model_name: model for model in self._read(objects)}
        kept = {model.folder for model in models.values()} | {self._path(name) for name in models}
        for folder in (self._disk, self._folder):
            for path in set(folder.iterdir() if folder.is_dir() else ()) - kept:
                delete(path)
        return list(models.values())

    def _read(self, objects: Objects) -> Iterator[Model]:
        boot = _boot()
        entries = [path for path in self._folder.glob("*.json") if path.is_file() and not path.is_symlink()]
        for path in sorted(entries, key=lambda path: path.stat().st_mtime_ns):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # such an entry counts for nothing
                entry = json.loads(path.read_text())
                source = ModelSource(**entry["source"])
                stored = objects.get(source.bucket, source.key)
                folder = self._disk / source.model_name
                whole = path == self._path(source.model_name) and folder.is_dir() and not folder.is_symlink()
                if not whole or entry["boot"] != boot or stored is None or stored.etag != entry["etag"]:
                    continue
                size = archives.tree_size(folder)
                if size >= entry["unpacked"]:  # prepared weights lie beside what was unpacked
                    yield Model(source, folder, State.ON_DISK, size, entry["unpacked"], entry["etag"])

    def _path(self, model_name: str) -> Path:
        return self._folder / f"{model_name}.json"


def _boot() -> str:
    """Return what tells one start of the machine from another."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(psutil.boot_time())


def delete(path: Path) -> None:
    """Delete a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

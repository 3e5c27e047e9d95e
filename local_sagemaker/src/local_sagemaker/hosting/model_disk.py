"""The disk of an instance: models are downloaded from S3 and unpacked on it, and deleted again.

A download is one pass: S3's objects lie on this machine, so an archive is read, verified and unpacked where it is. The
container may write a model's weights once more, prepared for memory, beside what was unpacked; room for both is made
before the first byte is written, and what was not needed is given back when the model is loaded.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from local_sagemaker import archives
from local_sagemaker.archives import ArchiveSizeError
from local_sagemaker.errors import runtime_validation
from local_sagemaker.hosting.inventory import Inventory
from local_sagemaker.hosting.model_states import Model
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings

Result = TypeVar("Result")


class ModelDisk:
    """Writes and deletes the files of models; who goes first is not its business."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Settings,
        objects: Objects,
        make_room: Callable[[Model, int], Awaitable[None]],
    ) -> None:
        """Create an empty disk; ``restore`` takes over what an earlier server left on it.

        ``make_room`` deletes other models until there is room for a model of so many bytes.
        """
        self.used = 0  # bytes
        self._inventory = Inventory(folder)
        self._settings = settings
        self._objects = objects
        self._make_room = make_room
        self._threads: set[asyncio.Future[Any]] = set()

    async def restore(self) -> list[Model]:
        """Return the models that an earlier server left whole, the oldest first, and delete everything else."""
        models = await self._in_thread(self._inventory.restore, self._objects)
        self.used += sum(model.size for model in models)
        return models

    def resize(self, model: Model, size: int) -> None:
        """Note how many bytes are taken by, or kept free for, a model."""
        self.used += size - model.size
        model.size = size

    async def enter(self, model: Model) -> None:
        """Note that a model was loaded: its files are all there, and what they take is known from now on."""
        if self._inventory.has(model):
            return
        with contextlib.suppress(OSError):  # without an entry, it is only downloaded again after a restart
            self.resize(model, await self._in_thread(archives.tree_size, model.folder))
            await self._in_thread(self._inventory.add, model)

    async def fetch(self, model: Model, refuse: Callable[[], None]) -> None:
        """Download and unpack a model; its size, entity tag and place are noted in it.

        ``refuse`` is called once the entity tag is known; it raises if the archive shall not be tried again.

        Raises:
            ArchiveError: If the archive cannot be unpacked.
            ServiceError: ``ValidationError`` if there is none.
        """
        source = model.source
        stored = self._objects.get(source.bucket, source.key)
        while stored is not None:
            model.etag = stored.etag
            refuse()
            try:
                await self._unpack(model, stored.path)
            except FileNotFoundError:  # deleted or replaced in S3 since it was looked up
                newer = self._objects.get(source.bucket, source.key)
                stored = newer if newer != stored else None
            else:
                return
        raise runtime_validation(
            f"Failed to download model data (bucket: {source.bucket}, key: {source.key}). Please ensure that "
            "there is an object located at the URL and that the role passed to CreateModel has permissions to "
            "download the model."
        )

    async def _unpack(self, model: Model, archive: Path) -> None:
        """Unpack an archive into room that is made before; one that is too large does not cost others their files."""
        limit = min(self._settings.max_archive_bytes, self._settings.instance_disk_bytes)
        members = self._settings.max_archive_members
        try:
            stated = archives.stated_bytes(archive)
            try:
                if stated > limit:
                    raise ArchiveSizeError(f"The archive says that it unpacks to {stated:,} bytes.")
                await self._make_room(model, with_prepared(stated, self._settings.instance_disk_bytes))
                written = await self._in_thread(
                    archives.unpack, archive, model.folder, max_bytes=stated, max_members=members
                )
            except ArchiveSizeError:  # it is larger than it says, or smaller by its headers
                measured = await self._in_thread(archives.measured_bytes, archive, max_bytes=limit, max_members=members)
                await self._make_room(model, with_prepared(measured, self._settings.instance_disk_bytes))
                written = await self._in_thread(
                    archives.unpack, archive, model.folder, max_bytes=limit, max_members=members
                )
        except BaseException:
            self.resize(model, 0)
            raise
        model.unpacked = written

    async def delete(self, model: Model) -> None:
        """Delete a model's files."""
        await self._in_thread(self._delete, model)
        self.resize(model, 0)

    async def close(self) -> None:
        """Wait until nothing more is written, whatever was cancelled."""
        await asyncio.gather(*self._threads, return_exceptions=True)

    def _delete(self, model: Model) -> None:
        self._inventory.remove(model)
        shutil.rmtree(model.folder, ignore_errors=True)

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Run a function in a thread that ``close`` waits for, even if the load that wants it is cancelled."""
        future = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **options))
        self._threads.add(future)
        future.add_done_callback(self._threads.discard)
        return await asyncio.shield(future)


def with_prepared(size: int, disk: int) -> int:
    """Return what a model of so many bytes may take on a disk with its prepared weights, which are no larger."""
    return max(size, min(2 * size, disk))

"""The disk of an instance: models are downloaded from S3 and unpacked on it, and deleted again."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from local_sagemaker import archives
from local_sagemaker.archives import ArchiveSizeError
from local_sagemaker.errors import invocation
from local_sagemaker.models import Model
from local_sagemaker.objects import Objects
from local_sagemaker.settings import Settings


class ModelDisk:
    """Writes and deletes the files of models; who goes first is not its business."""

    def __init__(
        self, *, settings: Settings, objects: Objects, make_room: Callable[[Model, int], Awaitable[None]]
    ) -> None:
        """Create an empty disk.

        Args:
            settings: Limits.
            objects: S3 objects.
            make_room: Deletes other models until there is room for a model of so many bytes.
        """
        self._settings = settings
        self._objects = objects
        self._make_room = make_room
        self._threads: set[asyncio.Future[Any]] = set()

    async def fetch(self, model: Model, refuse: Callable[[], None]) -> None:
        """Download and unpack a model.

        Args:
            model: The model; its size, entity tag and place are noted in it.
            refuse: Called once the entity tag is known; raises if the archive shall not be tried again.

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
        raise invocation(
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
                await self._make_room(model, stated)
                written = await self._in_thread(
                    archives.unpack, archive, model.folder, max_bytes=stated, max_members=members
                )
            except ArchiveSizeError:  # it is larger than it says, or smaller by its headers
                measured = await self._in_thread(archives.measured_bytes, archive, max_bytes=limit, max_members=members)
                await self._make_room(model, measured)
                written = await self._in_thread(
                    archives.unpack, archive, model.folder, max_bytes=limit, max_members=members
                )
        except BaseException:
            model.size = 0
            raise
        model.size, model.on_disk = written, True

    async def delete(self, model: Model) -> None:
        """Delete a model's files."""
        model.on_disk = False
        await self._in_thread(shutil.rmtree, model.folder, ignore_errors=True)
        model.size = 0

    async def close(self) -> None:
        """Wait until nothing more is written, whatever was cancelled."""
        await asyncio.gather(*self._threads, return_exceptions=True)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run a function in a thread that ``close`` waits for, even if the load that wants it is cancelled."""
        future = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **options))
        self._threads.add(future)
        future.add_done_callback(self._threads.discard)
        return await asyncio.shield(future)

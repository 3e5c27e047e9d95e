"""Models as an instance knows them: where they come from, and whether they are on its disk and in its container."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from local_sagemaker.hosting.container_process import ContainerProcess


@dataclass(frozen=True)
class ModelSource:
    """Where a model's archive lies.

    Attributes:
        bucket: S3 bucket.
        key: S3 key of the ``tar.gz`` archive.
        target_model: Value of the ``TargetModel`` header; empty on a single-model endpoint.
    """

    bucket: str
    key: str
    target_model: str

    @property
    def uri(self) -> str:
        """S3 URI of the archive."""
        return f"s3://{self.bucket}/{self.key}"

    @cached_property
    def model_name(self) -> str:
        """The opaque name under which the container knows the model."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:32]


@dataclass
class Model:
    """What an instance knows of a model."""

    source: ModelSource
    folder: Path
    size: int = 0  # on disk, with its prepared weights; counted before the first byte is written
    unpacked: int = 0  # of that, what the archive held
    etag: str = ""
    on_disk: bool = False
    entered: bool = False  # in the disk's inventory: it was loaded once, and its size is exact
    loaded_in: ContainerProcess | None = None
    in_use: int = 0  # calls, and the load that they wait for
    queued: bool = False  # its load waits for its turn, so that nothing depends on its files yet
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # held while it is loaded or evicted
    loading: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def idle(self) -> bool:
        """Whether it may be evicted."""
        return (self.in_use == 0 or self.queued) and not self.lock.locked()

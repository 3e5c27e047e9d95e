"""Models as an instance knows them: where they come from, and whether they are on its disk and in its container."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class ModelSource:
    """Where a model's archive lies."""

    bucket: str  # S3 bucket
    key: str  # S3 key of the `tar.gz` archive
    target_model: str  # value of the `TargetModel` header; empty on a single-model endpoint

    @property
    def uri(self) -> str:
        """S3 URI of the archive."""
        return f"s3://{self.bucket}/{self.key}"

    @cached_property
    def model_name(self) -> str:
        """The opaque name under which the container knows the model."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:32]


class State(Enum):
    """How far a model has come on an instance. A model takes one step at a time, forward or back."""

    ABSENT = 0  # its files are not all on the disk
    ON_DISK = 1  # unpacked, and not in the container that runs now
    LOADED = 2  # in that container, too


@dataclass(eq=False)
class Model:
    """What an instance knows of a model."""

    source: ModelSource
    folder: Path  # where its files lie
    state: State = State.ABSENT  # `move` changes it
    size: int = 0  # bytes on the disk, with its prepared weights; counted before the first byte is written
    unpacked: int = 0  # of these, what the archive held
    etag: str = ""  # of the archive
    in_use: int = 0  # calls, and the load that they wait for
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # held while it is loaded or evicted
    loading: asyncio.Task[None] | None = field(default=None, repr=False)  # under way, or waiting for its turn

    def move(self, state: State) -> None:
        """Take a step; a ``ValueError`` tells that it is none from where the model is."""
        if abs(state.value - self.state.value) != 1:
            raise ValueError(f"A model that is {self.state.name} cannot become {state.name}.")
        self.state = state

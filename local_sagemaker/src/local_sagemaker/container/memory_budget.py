"""The memory of a container: what each of its models counts, and whether there is room for another."""

import asyncio
import resource
from collections.abc import Hashable
from pathlib import Path


class NoRoomError(MemoryError):
    """So much memory is not free, or too few files can be opened; the message tells what is."""


def check_descriptors() -> None:
    """Refuse another model if fewer than 256 more files, or a quarter of the limit if that is less, can be opened."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = len(list(Path("/dev/fd").iterdir()))
    if used > most - min(most // 4, 256):
        raise NoRoomError(f"{used:,} of {most:,} files are open.")


class MemoryBudget:
    """Bytes that models may take, and those that each takes from the start of its load until its memory is free."""

    def __init__(self, limit: int) -> None:
        """Create a budget of so many bytes."""
        self._limit = limit
        self._taken: dict[Hashable, int] = {}
        self._returning: set[asyncio.Task[None]] = set()

    def enter(self, name: Hashable) -> None:
        """Begin to count a model that takes nothing yet."""
        self._taken[name] = 0

    async def take(self, name: Hashable, size: int) -> None:
        """Count so many bytes for a model from now on, as soon as tasks that return memory have made room.

        Raises:
            NoRoomError: If there is no room, and no task that returns any. The model counts what it did.
        """
        while (others := sum(self._taken.values()) - self._taken[name]) + size > self._limit:
            if not self._returning:
                raise NoRoomError(f"{name} needs {size:,} bytes, {others:,} of {self._limit:,} are in use.")
            await asyncio.wait(self._returning, return_when=asyncio.FIRST_COMPLETED)
        self._taken[name] = size

    def shrink(self, name: Hashable, size: int) -> None:
        """Count less for a model."""
        self._taken[name] = size

    def leave(self, name: Hashable) -> None:
        """Stop counting a model, whose memory is free."""
        del self._taken[name]

    def expect(self, task: "asyncio.Task[None]") -> None:
        """Have loads that lack room wait for a task that returns memory."""
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

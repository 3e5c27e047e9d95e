"""Memory of processes: measuring it, and giving it back to the system.

glibc keeps what is freed, in an arena for each of its threads, for later. Models come and go, so later may be never.
"""

import contextlib
import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """What is in memory, in bytes."""

    anonymous: int  # what the system cannot drop. Where it does not tell, as on macOS, all that is the process's own
    mapped: int  # pages of files, such as prepared weights, which the system drops when memory is short

    def __sub__(self, other: "Usage") -> "Usage":
        """Return how much more there is than before."""
        return Usage(self.anonymous - other.anonymous, self.mapped - other.mapped)


def usage() -> Usage:
    """Measure this process, and what its children have for themselves."""
    own = measure("self")
    if own is None:
        return Usage(psutil.Process().memory_full_info().uss, 0)
    anonymous = own.anonymous
    for child in psutil.Process().children(recursive=True):
        measured = measure(str(child.pid))
        anonymous += measured.anonymous if measured else 0  # their files are the libraries of this process
    return Usage(anonymous, own.mapped)


_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's


def return_freed() -> None:
    """Give back the pages that hold nothing any more, those of scratch memory included."""
    if _trim:
        _trim(0)


def return_circles() -> None:
    """Free what only circles of references hold, as TensorFlow's Python objects do, and give its pages back."""
    gc.collect()
    return_freed()


def measure(pid: str) -> Usage | None:
    """Measure one process, or return None if it is gone or the system does not tell."""
    with contextlib.suppress(OSError):
        lines = Path("/proc", pid, "smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(size.split()[0]) * 1024 for name, size in (line.split(":", 1) for line in lines)}
        return Usage(sizes["Anonymous"], sizes["Rss"] - sizes["Anonymous"])
    return None

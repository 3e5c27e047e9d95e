"""Threads for predictions, of which the one that worked last works next.

TensorFlow keeps scratch memory for every thread that ever computed, and a processor's caches hold what the last one
used. A pool whose threads take turns pays for all of them, however few calls there are at a time.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
# Computes, and returns how to tell the result: the thread is free again by then, so that who hears of it finds it so.
Work = Callable[[], Callable[[], object]]
Result = TypeVar("Result")


class Threads:
    """At most so many threads, started when they are first needed. They end with the process."""

    def __init__(self, most: int, *, name: str) -> None:
        """Create an empty pool of at most so many threads; further work waits for its turn."""
        self._most = most
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Work] = deque()
        self._idle: list[_Thread] = []
        self._count = 0

    def __len__(self) -> int:
        """Return how many threads there are."""
        return self._count

    def submit(self, work: Work) -> None:
        """Have work done by a thread."""
        with self._lock:
            if self._idle:
                self._idle.pop().give(work)
            elif self._count < self._most:
                self._count += 1
                _Thread(self, work, f"{self._name}-{self._count}").start()
            else:
                self._waiting.append(work)

    def run(
        self, function: Callable[..., Result], *arguments: Any, ended: Callable[[], object] = bool
    ) -> "asyncio.Future[Result]":
        """Call a function in a thread and return what it returns, or raise what it raises, in the running event loop.

        ``ended`` is called when the function has ended, even if nobody waits for it any more. This is leaner than
        ``run_in_executor``, which chains two futures both ways.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def tell(result: Result | None, error: Exception | None) -> None:
            ended()
            if answer.cancelled():
                return
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        def work() -> Callable[[], object]:
            result, error = None, None
            try:
                result = function(*arguments)
            except Exception as raised:
                error = raised
            return lambda: loop.call_soon_threadsafe(tell, result, error)

        self.submit(work)
        return answer

    def free(self, thread: "_Thread") -> None:
        """Give a thread the next work, or let it rest."""
        with self._lock:
            if self._waiting:
                thread.give(self._waiting.popleft())
            else:
                self._idle.append(thread)


class _Thread(threading.Thread):
    def __init__(self, pool: Threads, work: Work, name: str) -> None:
        super().__init__(name=name, daemon=True)  # a model that never ends must not keep the process alive
        self._pool = pool
        self._work: Work | None = work
        self._given = threading.Lock()  # held while there is nothing to do; a tenth of a semaphore's cost

    def give(self, work: Work) -> None:
        """Wake the thread, which is at rest, or about to be."""
        self._work = work
        self._given.release()

    def run(self) -> None:
        """Work whenever there is something to do."""
        while True:
            self._given.acquire()
            work, self._work = self._work, None
            assert work is not None
            tell = _attempt(work)
            del work  # it may hold a model
            self._pool.free(self)
            if tell:
                _attempt(tell)
            del tell


def _attempt(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception:  # work tells its errors itself; this is about the thread, which must go on
        logger.exception("%s failed", action)
        return None

"""Threads for predictions, of which the one that worked last works next.

TensorFlow keeps scratch memory for every thread that ever computed, and a processor's caches hold what the last one
used. A pool whose threads take turns pays for all of them, however few calls there are at a time.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
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
        self._idle: list[SimpleQueue[Work]] = []  # of the threads that are at rest, or about to be
        self._count = 0

    def __len__(self) -> int:
        """Return how many threads there are."""
        return self._count

    def submit(self, work: Work) -> None:
        """Have work done by a thread."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
            elif self._count < self._most:
                self._count += 1
                own: SimpleQueue[Work] = SimpleQueue()
                own.put(work)
                # A model that never ends must not keep the process alive.
                threading.Thread(target=self._run, args=(own,), name=f"{self._name}-{self._count}", daemon=True).start()
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
            return partial(loop.call_soon_threadsafe, tell, result, error)

        self.submit(work)
        return answer

    def _run(self, own: SimpleQueue[Work]) -> None:
        """Do one work after the other, in a thread."""
        while True:
            tell = _attempt(own.get())  # no name keeps the work, which may hold a model
            with self._lock:
                if self._waiting:
                    own.put(self._waiting.popleft())
                else:
                    self._idle.append(own)
            if tell:
                _attempt(tell)
            del tell


def _attempt(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception:  # work tells its errors itself; this is about the thread, which must go on
        logger.exception("a thread could not tell what came of its work")
        return None

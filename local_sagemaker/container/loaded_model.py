"""One loaded model: what answers its calls, and the turns that they take."""

import asyncio
import contextlib
import os

from local_sagemaker.container.batches import Batcher, BatchingOptions
from local_sagemaker.container.handlers import Handler
from local_sagemaker.container.servables import Servable
from local_sagemaker.container.threads import Threads

# More than there are cores would only push each other's arrays out of the processor's caches: with twice as many, two
# cores answered a sixth fewer calls. Never all threads, so that a model that never ends leaves some to the others.
_PREDICTIONS_AT_ONCE = min(max(os.cpu_count() or 1, 2), 8)
_FIRST_CALL_SECONDS = 1  # for so long after its load, a model is taken for one that is about to be called
_PAUSE_SECONDS = 0.25  # without a call
_LONGEST_SECONDS = 3  # after which a pause is waited for no longer


class LoadedModel:
    """A servable, with the model's own handler or open batches if it has any.

    Attributes:
        servable: The model.
        handler: The process of its ``inference.py``, or None.
        replacement: Puts a faster engine in its place, if one is to be had.
    """

    def __init__(
        self, servable: Servable, *, threads: Threads, batching: BatchingOptions | None, handler: Handler | None
    ) -> None:
        """Hold a model.

        Args:
            servable: The model.
            threads: Where predictions are computed.
            batching: How concurrent calls are computed as one; None computes each alone.
            handler: The started process of its ``inference.py``.
        """
        self.servable = servable
        self.handler = handler
        self.replacement: asyncio.Task[None] | None = None
        self._threads = threads
        self._turns = asyncio.Semaphore(_PREDICTIONS_AT_ONCE)
        self._batcher = Batcher(servable, batching, threads=threads, turns=self._turns) if batching else None
        self._under_way = 0  # calls
        self._last_call: float | None = None  # when the last one that has ended did so, on the event loop's clock
        self._leaving = asyncio.Event()

    async def predict(self, body: bytes) -> bytes:
        """Answer a predict request; result and errors are those of ``Servable.predict``."""
        self._under_way += 1
        try:
            if self._batcher:
                return await self._batcher.predict(body)
            await self._turns.acquire()
            # The turn ends with the computation, which no timeout can end.
            return await self._threads.run(self.servable.predict, body, ended=self._turns.release)
        finally:
            self._under_way -= 1
            self._last_call = asyncio.get_running_loop().time()

    async def pause(self) -> None:
        """Wait until the calls of the model make a pause, or it is to leave: what is begun then disturbs none of them.

        It may be called for the first time any moment, or without a pause, so both waits have an end.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        while (rest := self._end_of_pause(began, clock()) - clock()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), rest)
                return

    def leave(self) -> None:
        """Say that the model is to be unloaded: whoever waits for a pause waits no longer."""
        self._leaving.set()

    async def drain(self) -> None:
        """Wait until the calls under way, which still hold the weights, have ended; there must be no later ones."""
        if self._batcher:
            await self._batcher.close()
        for _ in range(_PREDICTIONS_AT_ONCE):
            await self._turns.acquire()

    def _end_of_pause(self, began: float, now: float) -> float:
        """Return when nobody waits any longer if no call comes."""
        last_call = now if self._under_way else self._last_call
        if last_call is None:
            return began + _FIRST_CALL_SECONDS
        return min(last_call + _PAUSE_SECONDS, began + _LONGEST_SECONDS)

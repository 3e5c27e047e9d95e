"""One loaded model: what answers its calls, and the turns that they take."""

import asyncio
import os

from local_sagemaker.container.batches import Batcher, BatchingOptions
from local_sagemaker.container.servables import Servable
from local_sagemaker.container.threads import Threads

# More than there are cores would only push each other's arrays out of the processor's caches: with twice as many, two
# cores answered a sixth fewer calls. Never all threads, so that a model that never ends leaves some to the others.
_PREDICTIONS_AT_ONCE = min(max(os.cpu_count() or 1, 2), 8)


class ScheduledModel:
    """A servable whose calls take turns, or are computed in batches."""

    def __init__(self, servable: Servable, *, threads: Threads, batching: BatchingOptions | None) -> None:
        """Hold a model, whose concurrent calls are computed as one if ``batching`` says how."""
        self.servable = servable
        self.answered = asyncio.Event()  # set when a first call of it has ended
        self.replacement: asyncio.Task[None] | None = None  # puts a faster engine in its place, if there is one
        self._threads = threads
        self._turns = asyncio.Semaphore(_PREDICTIONS_AT_ONCE)
        self._batcher = Batcher(servable, batching, threads=threads, turns=self._turns) if batching else None

    async def answer(self, method: str, body: bytes) -> bytes:
        """Answer a request for ``predict``, ``classify`` or ``regress``; errors are those of ``Servable.predict``."""
        predicts = method == "predict"
        try:
            if self._batcher and predicts:
                return await self._batcher.predict(body)
            await self._turns.acquire()
            call = (self.servable.predict, body) if predicts else (self.servable.answer_examples, body, method)
            # The turn ends with the computation, which no timeout can end.
            return await self._threads.run(*call, ended=self._turns.release)
        finally:
            self.answered.set()

    async def drain(self) -> None:
        """Wait until the calls under way, which still hold the weights, have ended; there must be no later ones."""
        if self._batcher:
            await self._batcher.close()
        for _ in range(_PREDICTIONS_AT_ONCE):
            await self._turns.acquire()

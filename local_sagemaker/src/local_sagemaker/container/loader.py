"""The loader: what takes long about a model, its load and its release, in threads that no prediction waits for."""

import asyncio
import logging
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from local_sagemaker import memory
from local_sagemaker.container.batches import BatchingOptions
from local_sagemaker.container.handlers import Handler
from local_sagemaker.container.loaded_model import LoadedModel
from local_sagemaker.container.servables import Servable
from local_sagemaker.container.serving_api import ServingApi
from local_sagemaker.container.threads import Threads

logger = logging.getLogger(__name__)
_LOADS_AT_ONCE = 2
_THREADS = 16  # of large models, and as many of the others, which need not wait until a large one has ended


class Loader:
    """Makes loaded models, and ends them."""

    def __init__(
        self,
        api: ServingApi,
        *,
        invocation_seconds: float,
        load_seconds: float,
        sockets: Path | None,
        batching: BatchingOptions | None,
    ) -> None:
        """Start no thread yet.

        Args:
            api: What handlers may post to.
            invocation_seconds: How long one call may take.
            load_seconds: How long importing a model's ``inference.py`` may take.
            sockets: Folder for the sockets of handlers, which the owner alone can enter; by default a new one.
            batching: How concurrent calls of a model are computed as one; by default each is computed alone.
        """
        self._api = api
        self._invocation_seconds = invocation_seconds
        self._load_seconds = load_seconds
        self._batching = batching
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if sockets is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lsm-")
            sockets = Path(self._folder.name)
        self._sockets = sockets
        self._predictions = Threads(_THREADS, name="predict")
        self._large = Threads(_THREADS, name="predict-large")
        self._loads = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="load")

    async def load(self, name: str, base_path: Path, *, at_once: bool) -> LoadedModel:
        """Load a model, and start the process of its ``inference.py`` if it has one.

        Args:
            name: Name of the model.
            base_path: Folder with its versions.
            at_once: Whether it may get a provisional engine, which answers sooner.
        """
        servable = await self._run(partial(Servable, name, base_path, at_once=at_once))
        script = base_path / "code" / "inference.py"
        if not script.is_file():
            return self._model(servable, None)
        handler = Handler(
            script.resolve(),
            sockets=self._sockets,
            start_seconds=self._load_seconds,
            call_seconds=self._invocation_seconds,
        )
        try:
            await self._api.start()
            await handler.start()
        except BaseException:
            await self._run(servable.unload)
            raise
        return self._model(servable, handler)

    async def load_successor(self, model: LoadedModel) -> LoadedModel:
        """Load what takes the place of a model with a provisional engine, and its handler; itself if it stays."""
        servable = await self._run(model.servable.successor)
        return model if servable is model.servable else self._model(servable, model.handler)

    async def release(self, model: LoadedModel) -> None:
        """Release the memory of a model that gets no more calls, when those under way have ended; not its handler."""
        try:
            async with asyncio.timeout(self._invocation_seconds):
                await model.drain()
        except TimeoutError:
            logger.warning("unloading %s although a call of it has not ended", model.servable.name)
        finally:
            await self._run(model.servable.unload)

    def return_freed(self) -> None:
        """Give freed memory back to the system; no call waits for it."""
        self._loads.submit(memory.return_freed)

    def close(self) -> None:
        """Delete the folder of the sockets; the threads end with the process."""
        if self._folder:
            self._folder.cleanup()

    def _model(self, servable: Servable, handler: Handler | None) -> LoadedModel:
        threads = self._large if servable.engine.is_large else self._predictions
        return LoadedModel(servable, threads=threads, batching=self._batching, handler=handler)

    def _run(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._loads, function)

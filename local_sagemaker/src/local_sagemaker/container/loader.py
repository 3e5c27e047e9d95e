"""The loader: what takes long about a model, its load and its release, in threads that no prediction waits for."""

import asyncio
import logging
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from local_sagemaker import memory
from local_sagemaker.container.batches import BatchingOptions
from local_sagemaker.container.handler_rest_api import ServingApi
from local_sagemaker.container.handlers import Code, Handler
from local_sagemaker.container.scheduled_model import ScheduledModel
from local_sagemaker.container.servables import Servable
from local_sagemaker.container.threads import Threads
from local_sagemaker.settings import GIBIBYTE

logger = logging.getLogger(__name__)
CONTAINER_FOLDER = Path("/opt/ml")
_LOADS_AT_ONCE = 2
_THREADS = 16  # of large models, and as many of the others, which need not wait until a large one has ended


@dataclass(frozen=True)
class Options:
    """How a container holds and serves models."""

    memory_bytes: int = 4 * GIBIBYTE  # what the footprints of all loaded models may sum up to
    invocation_seconds: float = 60  # how long one call may take
    load_seconds: float = 360  # how long importing a model's `inference.py` may take
    sockets: Path | None = None  # folder for sockets of handlers, which the owner alone can enter; else a new one
    universal_code: Path | None = None  # folder with an `inference.py` for all models that bring none
    batching: BatchingOptions | None = None  # how concurrent calls are computed as one; else each is computed alone


class Loader:
    """Makes loaded models, and ends them."""

    def __init__(self, api: ServingApi, options: Options) -> None:
        """Start no thread yet."""
        self._api = api
        self._options = options
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        sockets = options.sockets
        if sockets is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lsm-")
            sockets = Path(self._folder.name)
        self._sockets = sockets
        self._links = sockets / f"ml-{secrets.token_hex(4)}"
        self._libraries: list[Path] = []
        self._predictions = Threads(_THREADS, name="predict")
        self._large = Threads(_THREADS, name="predict-large")
        self._loads = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="load")

    async def load(self, name: str, folder: Path, *, at_once: bool) -> ScheduledModel:
        """Load a version of a model; ``at_once`` lets it have a provisional engine, which answers sooner."""
        return self._model(await self._run(partial(Servable, name, folder, at_once=at_once)))

    async def start_handler(self, name: str, base_path: Path, *, single: bool) -> Handler | None:
        """Start the process of a model's ``inference.py``, or else of the one for all models, if there is any.

        A single model is the only one of its container; its code is ``/opt/ml/model/code``.
        """
        own = base_path / "code"
        # What stands for `/opt/ml`: itself where the models lie there, as they do on AWS.
        root = CONTAINER_FOLDER if base_path.is_relative_to(CONTAINER_FOLDER) else self._links
        if not single and (own / "lib").is_dir():
            self._libraries.append(own / "lib")  # AWS's container has one sys.path for all
        if single or not (own / "inference.py").is_file():
            code = own if single else self._options.universal_code
            if code is None:
                return None
            first = [code] if single else []
            if (code / "lib").is_dir():
                first.append(code / "lib")
            elif (code / "requirements.txt").is_file():
                first.append(await self._run(partial(_install, code / "requirements.txt")))
        else:
            code, first = own, []
        if not (code / "inference.py").is_file():
            return None
        link = root / ("model" if single else f"models/{name}/model")
        if root != CONTAINER_FOLDER:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(base_path.absolute())
        handler = Handler(
            Code(code.absolute() / "inference.py", root, first, tuple(self._libraries)),
            sockets=self._sockets,
            start_seconds=self._options.load_seconds,
            call_seconds=self._options.invocation_seconds,
        )
        await self._api.start()
        await handler.start()
        return handler

    async def load_successor(self, model: ScheduledModel) -> ScheduledModel:
        """Load what takes the place of a model with a provisional engine; itself if it stays."""
        servable = await self._run(model.servable.successor)
        return model if servable is model.servable else self._model(servable)

    async def release(self, model: ScheduledModel) -> None:
        """Release the memory of a model that gets no more calls, when those under way have ended."""
        try:
            async with asyncio.timeout(self._options.invocation_seconds):
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

    def _model(self, servable: Servable) -> ScheduledModel:
        threads = self._large if servable.engine.is_large else self._predictions
        return ScheduledModel(servable, threads=threads, batching=self._options.batching)

    def _run(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._loads, function)


def _install(requirements: Path) -> Path:
    """Install packages for a model's code, beside it, and return where."""
    target = requirements.with_name(".requirements")
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--target", str(target)]
    if not target.exists():
        subprocess.run([*command, "--requirement", str(requirements)], check=True, stdin=subprocess.DEVNULL)
    return target

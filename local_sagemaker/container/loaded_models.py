"""The models that a container holds, and what it answers to the calls of its contract."""

import asyncio
import logging
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from local_sagemaker import memory
from local_sagemaker.container import servables
from local_sagemaker.container.batches import Batcher, BatchingOptions
from local_sagemaker.container.handlers import Handler, HandlerError
from local_sagemaker.container.invocations import Answer, Invocation, error_answer
from local_sagemaker.container.servables import BasePathError, Servable, UnloadedError
from local_sagemaker.container.serving_api import ServingApi
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.container.threads import Threads
from local_sagemaker.settings import GIBIBYTE

logger = logging.getLogger(__name__)
_MODEL_NAME = re.compile(r"\w[\w.-]{0,254}")
_PREDICTIONS_AT_ONCE = 4  # of one model, so that a model that never ends leaves threads to the others
_THREADS = 16  # of large models, and as many of the others, which need not wait until a large one has ended


@dataclass
class _Model:
    servable: Servable
    handler: Handler | None = None
    batcher: Batcher | None = None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PREDICTIONS_AT_ONCE))


class LoadedModels:
    """Loaded models by name, and the answers to the calls of the contract."""

    def __init__(
        self,
        *,
        memory_bytes: int = 4 * GIBIBYTE,
        invocation_seconds: float = 60,
        load_seconds: float = 360,
        sockets: Path | None = None,
        batching: BatchingOptions | None = None,
    ) -> None:
        """Create an empty set.

        Args:
            memory_bytes: What the footprints of all loaded models may sum up to, in bytes.
            invocation_seconds: How long one call may take.
            load_seconds: How long importing a model's ``inference.py`` may take.
            sockets: Folder for the sockets of handlers, which the owner alone can enter; by default a new one.
            batching: How concurrent calls of a model are computed as one; by default each is computed alone.
        """
        self._memory_bytes = memory_bytes
        self._invocation_seconds = invocation_seconds
        self._load_seconds = load_seconds
        self._batching = batching
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if sockets is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lsm-")
            sockets = Path(self._folder.name)
        self._sockets = sockets
        self._models: dict[str, _Model] = {}
        self._reserved: dict[str, int] = {}  # models being loaded or unloaded, and their footprint
        self._unloading: set[asyncio.Task[None]] = set()
        self._api = ServingApi(self._predict_for_handler, self.describe)
        self._predictions = Threads(_THREADS, name="predict")
        self._large = Threads(_THREADS, name="predict-large")
        self._loads = ThreadPoolExecutor(2, thread_name_prefix="load")  # loading never blocks predictions

    async def load(self, body: bytes) -> Answer:
        """``POST /models``: load ``{"model_name": …, "url": …}``."""
        try:
            document = orjson.loads(body)
            name, url = document["model_name"], document["url"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return error_answer(400, 'The body must be {"model_name": …, "url": …}.')
        if not isinstance(name, str) or not _MODEL_NAME.fullmatch(name):
            return error_answer(400, f"invalid model_name: {name!r}")
        if not isinstance(url, str) or "\0" in url:
            return error_answer(400, "The url must be the path of the model's folder.")
        if name in self._models or name in self._reserved:
            return error_answer(409, f"Model {name} is already loaded.")
        try:
            size = servables.saved_bytes(Path(url), name)
        except BasePathError as error:
            return error_answer(404, str(error))
        except OSError as error:
            return error_answer(404, f"Could not find valid base path {url} for servable {name}: {error.strerror}")
        self._reserved[name] = 0
        try:
            if not await self._has_room(size):
                return self._memory_exhausted(name, size)
            self._reserved[name] = size
            model = await self._load(name, Path(url))
            size, self._reserved[name] = model.servable.footprint, 0
            if not await self._has_room(size):  # it is larger than its files said, such as with a graph of its own
                await self._end(model)
                return self._memory_exhausted(name, size)
            self._models[name] = model
        except MemoryError:
            return error_answer(507, f"Memory exhausted: not enough memory to load {name}")
        except HandlerError as error:
            return error_answer(500, f"Failed to load model {name}: inference.py: {error}")
        except Exception as error:  # TensorFlow raises many kinds for a damaged SavedModel
            logger.warning("loading %s failed: %s", name, error)
            return error_answer(500, f"Failed to load model {name}: {type(error).__name__}: {error}")
        finally:
            del self._reserved[name]
        servable = model.servable
        if servable.was_prepared:
            self._loads.submit(memory.return_freed)  # what that took; no call waits for it
        details = (servable.version, servable.footprint, servable.engine)
        logger.info("loaded %s, version %s, %d bytes of memory, %s", name, *details)
        return _success(f"Successfully loaded model {name}, version {servable.version}.")

    async def unload(self, name: str) -> Answer:
        """``DELETE /models/{name}``: its memory is free when the answer leaves."""
        model = self._models.pop(name, None)
        if model is None:
            return _not_loaded(name)
        task = asyncio.create_task(self._unload(name, model))
        self._unloading.add(task)
        task.add_done_callback(self._unloading.discard)
        self._reserved[name] = model.servable.footprint  # until it is free
        await task
        logger.info("unloaded %s", name)
        return _success(f"Successfully unloaded model {name}.")

    def list(self) -> Answer:
        """``GET /models``: the loaded models."""
        return Answer(200, orjson.dumps({name: _status(model) for name, model in sorted(self._models.items())}))

    def describe(self, name: str) -> Answer:
        """``GET /models/{name}``: one loaded model."""
        model = self._models.get(name)
        return Answer(200, orjson.dumps(_status(model))) if model else _not_loaded(name)

    def servable(self, name: str) -> Servable:
        """Return a loaded model."""
        return self._models[name].servable

    async def invoke(self, call: Invocation) -> Answer:
        """``POST /models/{name}/invoke``: a prediction, through the model's own handler if it has one."""
        model = self._models.get(call.model_name)
        if model is None:
            return _not_loaded(call.model_name)
        if model.handler:
            try:
                content_type, body = await model.handler.call(call.context(self._api.port), call.body)
            except HandlerError as error:
                return error_answer(500, str(error))
            return Answer(200, body, content_type)
        if not call.is_json:
            return error_answer(415, f"Unsupported Media Type: {call.content_type or 'Unknown'}")
        return await self.predict(call.model_name, call.version, call.method or "predict", call.body)

    async def predict(self, name: str, version: str | None, method: str, body: bytes) -> Answer:
        """Answer a request of TensorFlow Serving's REST API.

        Args:
            name: Name of the model.
            version: Wanted version, or None for the one that is served.
            method: ``predict``; ``classify`` and ``regress`` are not supported.
            body: JSON text.
        """
        model = self._models.get(name)
        if model is None:
            return _not_loaded(name)
        if version and version.lstrip("0") != model.servable.version.lstrip("0"):
            return error_answer(404, f"Servable not found for request: Specific({name}, {version})")
        if method != "predict":
            return error_answer(501, f"The method {method!r} is not supported here. Use predict.")
        try:
            async with asyncio.timeout(self._invocation_seconds):
                predicted = model.batcher.predict(body) if model.batcher else self._predict(model, body)
                return Answer(200, await predicted)
        except RequestError as error:
            return error_answer(error.status, str(error))
        except UnloadedError:
            return _not_loaded(name)
        except TimeoutError:
            return error_answer(504, f"Model {name} did not answer within {self._invocation_seconds:g} seconds.")
        except Exception as error:
            logger.exception("prediction of %s failed", name)
            return error_answer(500, f"{type(error).__name__}: {error}")

    async def _predict_for_handler(self, name: str, version: str | None, method: str, body: bytes) -> Answer:
        """Answer what a handler posts to its ``rest_uri``; other models cannot be reached on that port."""
        model = self._models.get(name)
        if model is None or model.handler is None:
            return _not_loaded(name)
        return await self.predict(name, version, method, body)

    async def close(self) -> None:
        """End the handlers and close the port of the REST API."""
        for model in self._models.values():
            if model.handler:
                await model.handler.close()
        await self._api.close()
        if self._folder:
            self._folder.cleanup()

    async def _load(self, name: str, base_path: Path) -> _Model:
        loop = asyncio.get_running_loop()
        servable = await loop.run_in_executor(self._loads, Servable, name, base_path)
        model = _Model(servable)
        if self._batching:
            model.batcher = Batcher(servable, self._batching, threads=self._threads(model), turns=model.turns)
        script = base_path / "code" / "inference.py"
        if not script.is_file():
            return model
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
            await loop.run_in_executor(self._loads, servable.unload)
            raise
        model.handler = handler
        return model

    async def _unload(self, name: str, model: _Model) -> None:
        try:
            if model.handler:
                await model.handler.close()
            async with asyncio.timeout(self._invocation_seconds):
                if model.batcher:
                    await model.batcher.close()
                for _ in range(_PREDICTIONS_AT_ONCE):  # the calls under way still hold the weights
                    await model.turns.acquire()
        except TimeoutError:
            logger.warning("unloading %s although a call of it has not ended", name)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._loads, model.servable.unload)
            del self._reserved[name]
            self._loads.submit(memory.return_freed)

    def _used(self) -> int:
        return sum(self._reserved.values()) + sum(model.servable.footprint for model in self._models.values())

    async def _end(self, model: _Model) -> None:
        """End a model that nobody calls."""
        if model.handler:
            await model.handler.close()
        await asyncio.get_running_loop().run_in_executor(self._loads, model.servable.unload)

    def _memory_exhausted(self, name: str, size: int) -> Answer:
        message = f"{name} needs {size:,} bytes, {self._used():,} of {self._memory_bytes:,} are in use."
        return error_answer(507, f"Memory exhausted: {message}")

    async def _has_room(self, size: int) -> bool:
        """Tell whether so many bytes are free, or will be when the unloads under way end."""
        while self._used() + size > self._memory_bytes:
            if not self._unloading:
                return False
            await asyncio.wait(self._unloading, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _predict(self, model: _Model, body: bytes) -> bytes:
        await model.turns.acquire()
        # The turn ends with the computation, which no timeout can end.
        return await self._threads(model).run(model.servable.predict, body, ended=model.turns.release)

    def _threads(self, model: _Model) -> Threads:
        return self._large if model.servable.is_large else self._predictions


def _status(model: _Model) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": model.servable.version, "state": "AVAILABLE", "status": status}]}


def _not_loaded(name: str) -> Answer:
    return error_answer(404, f"Model {name} is not loaded yet.")


def _success(message: str) -> Answer:
    return Answer(200, orjson.dumps({"success": message}))

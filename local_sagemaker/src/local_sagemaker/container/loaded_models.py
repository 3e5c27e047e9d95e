"""The models that a container holds, and what it answers to the calls of its contract."""

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import Any

import orjson

from local_sagemaker.container.batches import BatchingOptions
from local_sagemaker.container.handlers import HandlerError
from local_sagemaker.container.invocations import Answer, Invocation, error_answer
from local_sagemaker.container.loaded_model import LoadedModel
from local_sagemaker.container.loader import Loader
from local_sagemaker.container.memory_budget import MemoryBudget, NoRoomError
from local_sagemaker.container.servables import Servable, UnloadedError
from local_sagemaker.container.serving_api import ServingApi
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.container.versions import BasePathError, saved_bytes
from local_sagemaker.engines.engine import Engine
from local_sagemaker.settings import GIBIBYTE

logger = logging.getLogger(__name__)
_MODEL_NAME = re.compile(r"\w[\w.-]{0,254}")
_FIRST_CALL_SECONDS = 1  # for so long, the first call of a model need not share the cores with its replacement


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
        self._invocation_seconds = invocation_seconds
        self._models: dict[str, LoadedModel] = {}
        self._budget = MemoryBudget(memory_bytes)
        self._api = ServingApi(self._predict_for_handler, self.describe)
        self._loader = Loader(
            self._api,
            invocation_seconds=invocation_seconds,
            load_seconds=load_seconds,
            sockets=sockets,
            batching=batching,
        )

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
        if name in self._budget:
            return error_answer(409, f"Model {name} is already loaded.")
        try:
            size = saved_bytes(Path(url), name)
        except BasePathError as error:
            return error_answer(404, str(error))
        except OSError as error:
            return error_answer(404, f"Could not find valid base path {url} for servable {name}: {error.strerror}")
        try:
            model = await self._load(name, Path(url), size)
        except NoRoomError as error:
            return error_answer(507, f"Memory exhausted: {error}")
        except MemoryError:
            return error_answer(507, f"Memory exhausted: not enough memory to load {name}")
        except HandlerError as error:
            return error_answer(500, f"Failed to load model {name}: inference.py: {error}")
        except Exception as error:  # TensorFlow raises many kinds for a damaged SavedModel
            logger.warning("loading %s failed: %s", name, error)
            return error_answer(500, f"Failed to load model {name}: {type(error).__name__}: {error}")
        self._enter(name, model)
        return _success(f"Successfully loaded model {name}, version {model.servable.version}.")

    async def unload(self, name: str) -> Answer:
        """``DELETE /models/{name}``: its memory is free when the answer leaves."""
        model = self._models.pop(name, None)
        if model is None:
            return _not_loaded(name)
        task = asyncio.create_task(self._unload(name, model))
        self._budget.expect(task)
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
                return Answer(200, await model.predict(body))
        except RequestError as error:
            return error_answer(error.status, str(error))
        except UnloadedError:
            if self._models.get(name, model) is not model:  # another has taken its place
                return await self.predict(name, version, method, body)
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

    async def settle(self) -> None:
        """Wait until every model has the engine that it keeps."""
        replacements = [model.replacement for model in self._models.values() if model.replacement]
        if replacements:
            await asyncio.wait(replacements)

    async def close(self) -> None:
        """End the handlers and close the port of the REST API."""
        models = list(self._models.values())
        self._models.clear()
        for model in models:
            await self._end_replacement(model)
            if model.handler:
                await model.handler.close()
        await self._api.close()
        self._loader.close()

    async def _load(self, name: str, base_path: Path, size: int) -> LoadedModel:
        """Load a model, which counts first what its files say, then what it takes."""
        self._budget.enter(name)
        try:
            await self._budget.take(name, size)
            model = await self._loader.load(name, base_path, at_once=True)
            try:
                return await self._count(name, model)
            except NoRoomError:
                if not model.servable.engine.is_provisional:
                    raise
            return await self._count(name, await self._loader.load(name, base_path, at_once=False))
        except BaseException:
            self._budget.leave(name)
            raise

    async def _count(self, name: str, model: LoadedModel) -> LoadedModel:
        """Have a model count what it takes; end it if that is too much, such as with a graph of its own."""
        try:
            await self._budget.take(name, model.servable.engine.footprint)
        except NoRoomError:
            if model.handler:
                await model.handler.close()
            await self._loader.release(model)
            raise
        return model

    def _enter(self, name: str, model: LoadedModel) -> None:
        """Have a model answer calls from now on."""
        self._models[name] = model
        engine = model.servable.engine
        if engine.was_prepared and not engine.is_provisional:
            self._loader.return_freed()  # what that took
        logger.info("loaded %s, version %s, %s", name, model.servable.version, _describe(engine))
        if engine.is_provisional:
            model.replacement = asyncio.create_task(self._replace(name, model))
            self._budget.expect(model.replacement)

    async def _replace(self, name: str, model: LoadedModel) -> None:
        """Put the same model with a faster engine in the place of one, unless it is unloaded meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(model.answered.wait(), _FIRST_CALL_SECONDS)
        if self._models.get(name) is not model:
            return
        successor = await self._loader.load_successor(model)
        if self._models.get(name) is not model:
            if successor is not model:
                await self._loader.release(successor)
            return
        if successor is not model:
            successor.replacement = model.replacement  # an unload waits for its end
            self._models[name] = successor
            await self._loader.release(model)
        engine = successor.servable.engine
        self._budget.shrink(name, engine.footprint)
        logger.info("%s stays with %s", name, _describe(engine))

    async def _end_replacement(self, model: LoadedModel) -> None:
        """Wait until nothing is put in the place of a model that is not there any more."""
        model.answered.set()
        if model.replacement:
            await asyncio.wait([model.replacement])

    async def _unload(self, name: str, model: LoadedModel) -> None:
        try:
            await self._end_replacement(model)
            if model.handler:
                await model.handler.close()
        finally:
            await self._loader.release(model)
            self._budget.leave(name)
            self._loader.return_freed()


def _status(model: LoadedModel) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": model.servable.version, "state": "AVAILABLE", "status": status}]}


def _describe(engine: Engine) -> str:
    why = f": {engine.reason}" if engine.reason else ""
    return f"{engine.footprint} bytes of memory, {engine.name}{why}"


def _not_loaded(name: str) -> Answer:
    return error_answer(404, f"Model {name} is not loaded yet.")


def _success(message: str) -> Answer:
    return Answer(200, orjson.dumps({"success": message}))

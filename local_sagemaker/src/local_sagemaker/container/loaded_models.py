"""The models that a container holds, and what it answers to the calls of its contract.

This is AWS's TensorFlow Serving container 2.20. The rules of its own code, beside those of TensorFlow Serving
(``tensors``, ``predict_responses``) and of its proxy (``single_model_proxy``):

1. All versions of a model are loaded; the highest answers, unless ``tfs-model-version`` names another.
2. Without an ``inference.py``, JSON, JSON lines, CSV and what has no type go to TensorFlow Serving as they are.
3. An error of TensorFlow Serving keeps its status; its body is the ``description`` of AWS's form. A good answer has the
   caller's ``Accept`` as its content type.
4. With ``input_handler`` and ``output_handler`` it is the same: the second never sees an error. A handler that raises
   is 500, with its text.
5. An archive on a single-model endpoint may hold several models, wherever they lie; ``tfs-model-name`` names one.
   Without an ``inference.py`` the proxy converts requests, and TensorFlow Serving's answers come as they are.
"""

import asyncio
import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from local_sagemaker.container import single_model_proxy, versions
from local_sagemaker.container.handler_rest_api import ServingApi
from local_sagemaker.container.handlers import Handler, HandlerError
from local_sagemaker.container.invocations import (
    Answer,
    Invocation,
    RefusedError,
    check_model_name,
    error_answer,
    http_error,
    serving_error,
)
from local_sagemaker.container.loader import Loader, Options
from local_sagemaker.container.memory_budget import MemoryBudget, NoRoomError, check_descriptors
from local_sagemaker.container.predict_requests import read_exactly, read_signature_name
from local_sagemaker.container.scheduled_model import ScheduledModel
from local_sagemaker.container.servables import Servable, UnloadedError
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.container.versions import BasePathError, NeverLoadedError
from local_sagemaker.engines.engine import Engine

logger = logging.getLogger(__name__)
_FIRST_CALL_SECONDS = 1  # for so long, the first call of a model need not share the cores with its replacement
_PASSED_ON = ("", "application/json", "application/jsonlines", "application/jsons", "text/csv")
_NAMED_MODEL = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"


class Place(NamedTuple):
    """Which version of which model of which bundle."""

    bundle: str
    model: str
    version: int

    def __str__(self) -> str:
        """Return the model's name."""
        return self.model


@dataclass
class Bundle:
    """What one archive brought."""

    name: str  # under which it was loaded
    single: bool  # whether it is the one of a single-model endpoint
    default: str  # name of the model that answers if no other is named
    models: dict[str, dict[int, ScheduledModel]] = field(default_factory=dict)  # their versions, the highest first
    handler: Handler | None = None  # the process of its `inference.py`

    def places(self) -> Iterator[tuple[str, int, ScheduledModel]]:
        """Return all versions of all models."""
        return ((name, version, model) for name, each in self.models.items() for version, model in each.items())


class LoadedModels:
    """Loaded models by name, and the answers to the calls of the contract."""

    def __init__(self, options: Options | None = None) -> None:
        """Create an empty set; the options are by default those of a container that runs alone."""
        options = options or Options()
        self._invocation_seconds = options.invocation_seconds
        self._bundles: dict[str, Bundle] = {}
        self._names: set[str] = set()  # those that are being loaded, too
        self._budget = MemoryBudget(options.memory_bytes)
        self._api = ServingApi(self._predict_for_handler, self._describe_for_handler)
        self._handler_seconds = int(os.environ.get("SAGEMAKER_TFS_WAIT_TIME_SECONDS", "55"))
        self._loader = Loader(self._api, options)

    @property
    def single(self) -> str | None:
        """Name of the bundle of a single-model endpoint, if it is loaded; there is no other beside it."""
        first = next(iter(self._bundles.values()), None)  # every call asks, however many there are
        return first.name if first and first.single else None

    def has_handler(self, name: str) -> bool:
        """Tell whether a loaded bundle has an ``inference.py``."""
        return self._bundles[name].handler is not None

    async def load(self, body: bytes, *, accept: str = "") -> Answer:
        """``POST /models``: load ``{"model_name": …, "url": …}``; a single-model endpoint adds ``"single": true``."""
        try:
            document = orjson.loads(body)
            name, url, single = document["model_name"], Path(document["url"]), document.get("single", False)
            check_model_name(name)
        except RefusedError as error:
            return error_answer(400, str(error))
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
            logger.warning('The body must be {"model_name": …, "url": …}: %r', error)
            return http_error(500, accept)
        if name in self._names:
            return error_answer(409, f"Model {name} is already loaded.")
        try:
            found = versions.models(url) if single else {name: versions.versions(url, name)}
        except BasePathError as error:
            return error_answer(404, str(error))
        except NeverLoadedError as error:
            return Answer(408, f"Timed out after {self._handler_seconds} seconds. {error}".encode())
        except (OSError, ValueError) as error:
            return error_answer(404, f"Could not find valid base path {url} for servable {name}: {error}")
        default = os.environ.get(_NAMED_MODEL, next(iter(found))) if single else name
        bundle = Bundle(name, single, default, {model: {} for model in found})
        self._names.add(name)
        try:
            await self._load(bundle, url, found)
        except BaseException as error:
            self._names.discard(name)
            if isinstance(error, Exception):
                return _load_error(name, error, accept)
            raise
        self._bundles[name] = bundle
        logger.info("loaded %s", name)
        rest, grpc = self._api.port, self._api.grpc_port
        return _success(f"Successfully loaded model {name}, listening on rest port {rest} and grpc port {grpc}.")

    async def unload(self, name: str) -> Answer:
        """``DELETE /models/{name}``: its memory is free when the answer leaves."""
        bundle = self._bundles.pop(name, None)
        if bundle is None:
            return _not_loaded(name, stop="")
        await self._end(bundle)
        self._names.discard(name)
        logger.info("unloaded %s", name)
        return _success(f"Successfully unloaded model {name}.")

    def list(self) -> Answer:
        """``GET /models``: the loaded models."""
        return Answer(200, orjson.dumps({name: _status(bundle.models) for name, bundle in self._bundles.items()}))

    def describe(self, name: str) -> Answer:
        """``GET /models/{name}``: one loaded model."""
        bundle = self._bundles.get(name)
        return Answer(200, orjson.dumps({"model": _status(bundle.models)})) if bundle else _not_loaded(name)

    def servable(self, name: str) -> Servable:
        """Return the version that answers of a loaded model."""
        bundle = self._bundles[name]
        return next(iter(bundle.models[bundle.default].values())).servable

    async def invoke(self, call: Invocation) -> Answer:
        """``POST /models/{name}/invoke``: a prediction, through the model's own handler if it has one."""
        bundle = self._bundles.get(call.model_name)
        if bundle is None:
            return _not_loaded(call.model_name)
        if bundle.single and not bundle.handler:
            return await self._invoke_by_proxy(bundle, call)
        try:
            call.check_attributes()
        except RefusedError as error:
            return error_answer(400, str(error))
        if bundle.handler:
            return await self._invoke_handler(bundle, bundle.handler, call)
        if call.media_type not in _PASSED_ON:
            return error_answer(415, f"Unsupported Media Type: {call.media_type}")
        if not call.body.isascii():
            try:
                call.body.decode()
            except UnicodeDecodeError as error:
                return error_answer(500, str(error))
        answer = await self.predict(bundle.name, call.version, call.method or "predict", call.body)
        if answer.status != 200:
            return http_error(answer.status, call.accept, answer.body)
        return answer._replace(content_type=call.accept) if call.accept else answer

    async def predict(self, name: str, version: str | None, method: str, body: bytes, *, model: str = "") -> Answer:
        """Answer a request as TensorFlow Serving's REST API does, by the highest version if none is named.

        ``model`` is one of several models that came with an archive.
        """
        bundle = self._bundles.get(name)
        model = model or (bundle.default if bundle else name)
        found = bundle.models.get(model, {}) if bundle else {}
        digits = version and (version.lstrip("0") or "0")
        number = next((each for each in found if digits in (None, str(each))), -1)
        loaded = found.get(number)
        try:
            if loaded is None:
                # A request of another form is told first. A large one may take seconds to read.
                read_signature_name(await asyncio.to_thread(read_exactly, body))
                wanted = f"Specific({model}, {digits})" if version else f"Latest({model})"
                raise RequestError(f"Servable not found for request: {wanted}", status=404)
            async with asyncio.timeout(self._invocation_seconds):
                return Answer(200, await loaded.answer(method, body))
        except RequestError as error:
            return serving_error(error.status, str(error))
        except UnloadedError:
            if found.get(number, loaded) is not loaded:  # another has taken its place
                return await self.predict(name, version, method, body, model=model)
            return _not_loaded(name)
        except TimeoutError:
            return serving_error(504, f"Model {name} did not answer within {self._invocation_seconds:g} seconds.")
        except Exception as error:
            logger.exception("prediction of %s failed", name)
            return serving_error(500, f"{type(error).__name__}: {error}")

    async def settle(self) -> None:
        """Wait until every model has the engine that it keeps."""
        models = [model for bundle in self._bundles.values() for _, _, model in bundle.places()]
        replacements = [model.replacement for model in models if model.replacement]
        if replacements:
            await asyncio.wait(replacements)

    async def close(self) -> None:
        """End the handlers and close the port of the REST API."""
        bundles = list(self._bundles.values())
        self._bundles.clear()
        for bundle in bundles:
            for _, _, model in bundle.places():
                await _end_replacement(model)
            if bundle.handler:
                await bundle.handler.close()
        await self._api.close()
        self._loader.close()

    async def _invoke_handler(self, bundle: Bundle, handler: Handler, call: Invocation) -> Answer:
        named = call.target if bundle.single else bundle.name
        context = call.context(
            named or bundle.default,
            rest_address=self._api.address,
            grpc_port=self._api.grpc_port,
            timeout=self._handler_seconds,
        )
        try:
            content_type, body = await handler.call(context | {"model_name": named}, call.body)
        except HandlerError as error:
            if error.status is not None:
                return http_error(error.status, call.accept, str(error).encode())
            return error_answer(500, str(error))
        return Answer(200, body, content_type)

    async def _invoke_by_proxy(self, bundle: Bundle, call: Invocation) -> Answer:
        body = single_model_proxy.convert(call.media_type, call.body)
        if body is None:
            return error_answer(415, f"Unsupported Media Type: {call.media_type or 'Unknown'}")
        try:
            call.check_attributes()
        except RefusedError as error:
            return error_answer(400, str(error).partition(":")[0])  # the proxy says no more
        return await self.predict(bundle.name, call.version, call.method or "predict", body, model=call.target or "")

    async def _predict_for_handler(self, model: str, version: str | None, method: str, body: bytes) -> Answer:
        """Answer what a handler posts to its ``rest_uri``; models without one cannot be reached on that port."""
        bundle = self._with_handler(model)
        return await self.predict(bundle.name if bundle else "", version, method, body, model=model)

    def _describe_for_handler(self, model: str, version: str | None) -> Answer:
        bundle = self._with_handler(model)
        found = bundle.models[model] if bundle else {}
        chosen = {number: each for number, each in found.items() if version is None or number == int(version)}
        if not chosen:
            return serving_error(404, f"Could not find any versions of model {model}")
        return Answer(200, f"{json.dumps(_status({model: chosen}), indent=1)}\n".encode())

    def _with_handler(self, model: str) -> Bundle | None:
        return next((each for each in self._bundles.values() if each.handler and model in each.models), None)

    async def _load(self, bundle: Bundle, folder: Path, found: dict[str, dict[int, Path]]) -> None:
        """Load all versions of all models, and start their handler; or leave nothing."""
        try:
            check_descriptors()
            for name, each in found.items():
                for version, path in each.items():
                    place = Place(bundle.name, name, version)
                    model = await self._load_version(place, path)
                    bundle.models[name][version] = model
                    self._enter(bundle, name, version, model)
            bundle.handler = await self._loader.start_handler(bundle.name, folder, single=bundle.single)
        except BaseException:
            await self._end(bundle)
            raise

    async def _load_version(self, place: Place, folder: Path) -> ScheduledModel:
        """Load a version of a model, which counts first what its files say, then what it takes."""
        self._budget.enter(place)
        try:
            await self._budget.take(place, versions.saved_bytes(folder))
            model = await self._loader.load(place.model, folder, at_once=True)
            try:
                return await self._count(place, model)
            except NoRoomError:
                if not model.servable.engine.is_provisional:
                    raise
            return await self._count(place, await self._loader.load(place.model, folder, at_once=False))
        except BaseException:
            self._budget.leave(place)
            raise

    async def _count(self, place: Place, model: ScheduledModel) -> ScheduledModel:
        """Have a model count what it takes; end it if that is too much, such as with a graph of its own."""
        try:
            await self._budget.take(place, model.servable.engine.footprint)
        except NoRoomError:
            await self._loader.release(model)
            raise
        return model

    def _enter(self, bundle: Bundle, name: str, version: int, model: ScheduledModel) -> None:
        """Have a version of a model answer calls from now on."""
        engine = model.servable.engine
        if engine.was_prepared and not engine.is_provisional:
            self._loader.return_freed()  # what that took
        logger.info("loaded %s, version %s, %s", name, version, _describe(engine))
        if engine.is_provisional:
            model.replacement = asyncio.create_task(self._replace(bundle, name, version, model))
            self._budget.expect(model.replacement)

    async def _replace(self, bundle: Bundle, name: str, version: int, model: ScheduledModel) -> None:
        """Put the same model with a faster engine in the place of one, unless it is unloaded meanwhile."""
        held = bundle.models[name]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(model.answered.wait(), _FIRST_CALL_SECONDS)
        if held.get(version) is not model:
            return
        successor = await self._loader.load_successor(model)
        if held.get(version) is not model:
            if successor is not model:
                await self._loader.release(successor)
            return
        if successor is not model:
            successor.replacement = model.replacement  # an unload waits for its end
            held[version] = successor
            await self._loader.release(model)
        engine = successor.servable.engine
        self._budget.shrink(Place(bundle.name, name, version), engine.footprint)
        logger.info("%s stays with %s", name, _describe(engine))

    async def _end(self, bundle: Bundle) -> None:
        """End a bundle's handler and models; loads that lack room wait for the memory."""
        models = list(bundle.places())
        for each in bundle.models.values():
            each.clear()
        if bundle.handler:
            await bundle.handler.close()
        endings = [
            asyncio.create_task(self._end_version(Place(bundle.name, name, version), model))
            for name, version, model in models
        ]
        for ending in endings:
            self._budget.expect(ending)
        if endings:
            await asyncio.gather(*endings)

    async def _end_version(self, place: Place, model: ScheduledModel) -> None:
        try:
            await _end_replacement(model)
        finally:
            await self._loader.release(model)
            self._budget.leave(place)
            self._loader.return_freed()


async def _end_replacement(model: ScheduledModel) -> None:
    """Wait until nothing is put in the place of a model that is not there any more."""
    model.answered.set()
    if model.replacement:
        await asyncio.wait([model.replacement])


def _load_error(name: str, error: Exception, accept: str) -> Answer:
    if isinstance(error, MemoryError) or getattr(error, "errno", 0) in (errno.EMFILE, errno.ENFILE):
        reason = str(error) or f"not enough memory to load {name}"
        return error_answer(507, f"Memory exhausted: {reason}")
    logger.warning("loading %s failed: %s: %s", name, type(error).__name__, error)
    if isinstance(error, HandlerError):  # as on AWS, the log says why
        return http_error(500, accept)
    return error_answer(500, f"Failed to load model {name}: {type(error).__name__}: {error}")


def _status(models: dict[str, dict[int, ScheduledModel]]) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    found = [version for each in models.values() for version in each]
    states = [{"version": str(version), "state": "AVAILABLE", "status": status} for version in found]
    return {"model_version_status": states}


def _describe(engine: Engine) -> str:
    why = f": {engine.reason}" if engine.reason else ""
    return f"{engine.footprint} bytes of memory, {engine.name}{why}"


def _not_loaded(name: str, *, stop: str = ".") -> Answer:
    return error_answer(404, f"Model {name} is not loaded yet{stop}")


def _success(message: str) -> Answer:
    return Answer(200, orjson.dumps({"success": message}))

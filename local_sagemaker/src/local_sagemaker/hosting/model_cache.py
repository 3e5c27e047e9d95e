"""The models of one serving instance: on its disk and in its container, the least recently used ones first out.

A model is downloaded and unpacked if the disk lacks it, and loaded if the container lacks it. The container tells when
its memory is full (507): then idle models are unloaded, and their files stay. A full disk costs idle ones their files.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.archives import ArchiveError
from local_sagemaker.errors import ContainerError, ContainerLostError, ServiceError, runtime_validation, unavailable
from local_sagemaker.hosting.container_process import ContainerProcess
from local_sagemaker.hosting.model_disk import ModelDisk
from local_sagemaker.hosting.model_states import Model, ModelSource, State
from local_sagemaker.services.metrics import VariantMetrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings


@dataclass(frozen=True)
class _Failure:
    etag: str
    error: Exception
    until: float


class ModelCache:
    """What is on the disk and in the container of one instance."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        settings: Settings,
        objects: Objects,
        variant_metrics: VariantMetrics,
        keep_models: bool = True,
    ) -> None:
        """Create an empty cache; it serves once ``container`` is set. ``restore`` finds what is on the disk already."""
        self._container: ContainerProcess | None = None
        self._name = name
        self._folder = folder
        self._settings = settings
        self._metrics = variant_metrics
        self._keep_models = keep_models
        # By name, the least recently used one first: all, and of them those that are in the container.
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._queued: set[Model] = set()  # whose load waits for its turn, so that nothing depends on their files yet
        self._requested = 0  # loads that the container is asked for
        self._failures: dict[str, _Failure] = {}
        self._turns = asyncio.Semaphore(settings.max_concurrent_loads)
        self._memory_room, self._disk_room = asyncio.Lock(), asyncio.Lock()
        self._changed = asyncio.Event()
        self._disk = ModelDisk(folder, settings=settings, objects=objects, make_room=self._make_room)

    @property
    def container(self) -> ContainerProcess | None:
        """The container; it is replaced when it dies, and what was loaded is then gone."""
        return self._container

    @container.setter
    def container(self, container: ContainerProcess | None) -> None:
        self._container = container
        for model in self._loaded.values():
            model.move(State.ON_DISK)
        self._loaded.clear()

    @property
    def loaded_count(self) -> int:
        """Number of loaded models."""
        return len(self._loaded)

    @property
    def memory_percent(self) -> float:
        """Share of the instance's memory for models that the loaded ones take, by the size of their unpacked files."""
        used = sum(model.unpacked for model in self._loaded.values())
        return min(100 * used / self._settings.instance_memory_bytes, 100.0)

    @property
    def disk_percent(self) -> float:
        """Share of the instance's disk that is taken."""
        return 100 * self._disk.used / self._settings.instance_disk_bytes

    async def restore(self) -> None:
        """Take over the models that an earlier server left on the disk, and delete everything else there."""
        for model in await self._disk.restore():
            self._models[model.source.model_name] = model
            if not self._keep_models:
                await self._evict(model, delete=True)
        while self._disk.used > self._settings.instance_disk_bytes:  # there was more room then
            await self._evict(next(iter(self._models.values())), delete=True)

    def holds(self, source: ModelSource) -> bool:
        """Return whether a model is loaded, or being loaded, here."""
        model = self._models.get(source.model_name)
        return model is not None and (model.state is State.LOADED or model.loading is not None)

    def calls(self, source: ModelSource) -> int:
        """Return the number of calls under way for a model."""
        model = self._models.get(source.model_name)
        return model.in_use if model else 0

    @contextlib.asynccontextmanager
    async def use(self, source: ModelSource) -> AsyncIterator[ContainerProcess]:
        """Load a model if needed, keep it loaded meanwhile, and yield the container that holds it.

        Raises:
            ServiceError: ``ModelNotReadyException`` if loading takes too long, ``ValidationError`` if there is no
                usable archive, ``ServiceUnavailable`` if the container went away or too many loads wait.
            ContainerError: If the container cannot load the model.
        """
        model = self._model(source)
        model.in_use += 1
        self._models.move_to_end(source.model_name)
        if model.state is State.LOADED:
            self._loaded.move_to_end(source.model_name)
        try:
            hit = model.state is State.LOADED
            if source.target_model:
                self._metrics.record("ModelCacheHit", float(hit))
            if not hit:
                await self._wait_until_loaded(model)
            assert self._container is not None
            yield self._container
        finally:
            model.in_use -= 1
            if not self._keep_models and self._is_idle(model) and model.state is not State.ABSENT:
                await self._evict(model, delete=True)
            self._forget_if_empty(model)
            self._changed.set()

    async def close(self) -> None:
        """End all loading; nothing writes to the disk afterwards."""
        loads = [model.loading for model in self._models.values() if model.loading]
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        await self._disk.close()

    def _model(self, source: ModelSource) -> Model:
        model = self._models.get(source.model_name)
        if model is None:
            model = Model(source, self._folder / source.model_name)
            self._models[source.model_name] = model
        return model

    def _is_idle(self, model: Model) -> bool:
        """Return whether a model may be evicted."""
        return (model.in_use == 0 or model in self._queued) and not model.lock.locked()

    async def _wait_until_loaded(self, model: Model) -> None:
        if model.loading is None:
            if len(self._queued) >= self._settings.max_queued_loads:
                raise unavailable(f"Too many models wait to be loaded on instance {self._name}. Try again.")
            self._queued.add(model)
            model.loading = asyncio.create_task(self._load(model))
            model.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        started = time.monotonic()
        done, _ = await asyncio.wait([model.loading], timeout=self._settings.cold_start_seconds)
        if not done:
            message = f"Model {model.source.target_model} is not ready for inference yet. Please try again later."
            raise ServiceError("ModelNotReadyException", message, status=429)
        task = done.pop()
        if task.cancelled():
            raise unavailable(f"Instance {self._name} is being stopped. Try again.")
        task.result()
        if model.state is not State.LOADED:
            raise ContainerLostError(self._name)
        if model.source.target_model:
            self._metrics.record_seconds("ModelLoadingWaitTime", time.monotonic() - started)

    async def _load(self, model: Model) -> None:
        model.in_use += 1  # nobody may evict what is being loaded
        name = model.source.model_name
        try:
            async with self._turns:
                self._queued.discard(model)
                async with model.lock:
                    container = self.container
                    if container is None:
                        raise ContainerLostError(self._name)
                    if model.state is State.ABSENT:
                        started = time.monotonic()
                        await self._disk.fetch(model, lambda: self._refuse_bad_archive(model))
                        model.move(State.ON_DISK)
                        self._time(model, "ModelDownloadingTime", started)
                    started = time.monotonic()
                    await self._load_into(container, model)
                    self._time(model, "ModelLoadingTime", started)
                    if container is self.container:
                        model.move(State.LOADED)
                        self._loaded[name] = model
                    if self._keep_models:
                        await self._disk.enter(model)
            self._failures.pop(name, None)
        except (ContainerError, ArchiveError) as error:
            until = time.monotonic() + self._settings.failure_seconds
            self._failures[name] = _Failure(model.etag, error, until)
            if isinstance(error, ArchiveError):
                raise runtime_validation(
                    f'Failed to extract model data archive from URL "{model.source.uri}". Please ensure that the '
                    f"object located at the URL is a valid tar.gz archive. {error}"
                ) from error
            raise
        except OSError as error:
            reason = f"The instance's disk cannot be written: {error.strerror}."
            raise ServiceError("InternalFailure", reason, status=500) from error
        finally:
            model.loading = None
            self._queued.discard(model)
            model.in_use -= 1
            self._forget_if_empty(model)
            self._changed.set()

    async def _make_room(self, model: Model, size: int) -> None:
        def is_victim(other: Model) -> bool:
            return self._is_idle(other) and other.state is not State.ABSENT and other is not model

        async with self._disk_room:
            while self._disk.used - model.size + size > self._settings.instance_disk_bytes:
                victim = next(filter(is_victim, self._models.values()), None)
                if victim:
                    await self._evict(victim, delete=True)
                else:
                    await self._wait_for_change()
            self._disk.resize(model, size)

    async def _load_into(self, container: ContainerProcess, model: Model) -> None:
        single = not model.source.target_model
        document = {"model_name": model.source.model_name, "url": str(model.folder), "single": single}
        deadline = time.monotonic() + self._settings.model_load_seconds
        while True:
            self._requested += 1
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                    status, text = await container.call("POST", "/models", document)
            except TimeoutError:
                raise ContainerError(0, "The model was not loaded in time.") from None
            finally:
                self._requested -= 1
            if status in (200, 409):
                return
            if status != 507 or not self._may_unload_others(model):
                raise ContainerError(status, text)
            async with self._memory_room:  # one at a time, so that two loads do not both unload for the same room
                victim = next(filter(self._is_idle, self._loaded.values()), None)
                if victim:
                    await self._evict(victim)
                else:
                    await self._wait_for_change()

    def _may_unload_others(self, model: Model) -> bool:
        """Return whether other models shall make room in memory for one.

        Not for one that no memory would be enough for, nor for one that failed lately: others would be unloaded for
        nothing, again and again.
        """
        if model.unpacked > self._settings.instance_memory_bytes or self._failure(model):
            return False
        return len(self._loaded) > 0 or self._requested > 0

    def _refuse_bad_archive(self, model: Model) -> None:
        failure = self._failure(model)
        if failure and isinstance(failure.error, ArchiveError):  # it would fail again
            raise ArchiveError(str(failure.error))

    def _failure(self, model: Model) -> _Failure | None:
        """Return how the same archive failed lately, if it did."""
        failure = self._failures.get(model.source.model_name)
        if failure and failure.etag == model.etag and failure.until > time.monotonic():
            return failure
        return None

    async def _evict(self, model: Model, *, delete: bool = False) -> None:
        """Unload an idle model, and delete its files if asked to; a call that comes meanwhile loads it afterwards."""
        async with model.lock:
            if model.state is State.LOADED:
                await self._unload(model)
            if delete and model.state is State.ON_DISK:
                model.move(State.ABSENT)
                await self._disk.delete(model)
        self._forget_if_empty(model)
        self._changed.set()

    async def _unload(self, model: Model) -> None:
        model.move(State.ON_DISK)
        del self._loaded[model.source.model_name]
        assert self._container is not None
        started = time.monotonic()
        with contextlib.suppress(ServiceError):  # of a dead container nothing is left to unload
            await self._container.call("DELETE", f"/models/{model.source.model_name}")
            self._time(model, "ModelUnloadingTime", started)

    def _forget_if_empty(self, model: Model) -> None:
        unused = model.in_use == 0 and model.loading is None and not model.lock.locked()
        if unused and not model.size and self._models.get(model.source.model_name) is model:
            del self._models[model.source.model_name]

    def _time(self, model: Model, metric: str, started: float) -> None:
        if model.source.target_model:  # a single-model endpoint has no such metrics
            self._metrics.record_seconds(metric, time.monotonic() - started)

    async def _wait_for_change(self) -> None:
        """Wait until a model may have become idle."""
        self._changed.clear()
        await self._changed.wait()

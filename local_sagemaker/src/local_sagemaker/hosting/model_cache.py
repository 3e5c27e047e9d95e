"""The models of one serving instance: on its disk and in its container, the least recently used ones first out.

A model is downloaded and unpacked if the disk lacks it, and loaded if the container lacks it. The container tells when
its memory is full (507): then idle models are unloaded, and their files stay. A full disk costs idle ones their files.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.archives import ArchiveError
from local_sagemaker.errors import ContainerError, ContainerLostError, ServiceError, invocation, unavailable
from local_sagemaker.hosting.container_process import ContainerProcess
from local_sagemaker.hosting.model_disk import ModelDisk
from local_sagemaker.hosting.model_order import ModelOrder
from local_sagemaker.hosting.models import Model, ModelSource
from local_sagemaker.services.metrics import VariantMetrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings

# For so long a model that failed to load may not have others unloaded, nor a bad archive others deleted.
REMEMBER_FAILURE_SECONDS = 300


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
        """Create an empty cache; it serves once ``container`` is set. ``restore`` finds what is on the disk already.

        Args:
            name: Name of the instance, for messages.
            folder: Where models are unpacked.
            settings: Limits.
            objects: S3 objects.
            variant_metrics: Where its metrics go.
            keep_models: False unloads and deletes each model right after its call (``ModelCacheSetting``).
        """
        self._container: ContainerProcess | None = None
        self._name = name
        self._folder = folder
        self._settings = settings
        self._metrics = variant_metrics
        self._keep_models = keep_models
        self._models, self._loaded = ModelOrder(), ModelOrder()  # all, and of them those that are in the container
        self._queued = self._requested = 0  # loads that wait for their turn, and that the container is asked for
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
        self._loaded.clear()

    @property
    def folders(self) -> set[Path]:
        """The folders that outlast a restart of the server."""
        return self._disk.folders

    @property
    def loaded_count(self) -> int:
        """Number of loaded models."""
        return len(self._loaded)

    @property
    def memory_percent(self) -> float:
        """Share of the instance's memory for models that the loaded ones take, by the size of their files."""
        used = sum(model.unpacked for model in self._loaded)
        return min(100 * used / self._settings.instance_memory_bytes, 100.0)

    @property
    def disk_percent(self) -> float:
        """Share of the instance's disk that is taken."""
        return 100 * self._disk.used / self._settings.instance_disk_bytes

    async def restore(self) -> None:
        """Take over the models that an earlier server left on the disk, and delete everything else there."""
        for model in await self._disk.restore():
            self._models.add(model)
            if not self._keep_models:
                await self._evict(model, delete=True)
        while self._disk.used > self._settings.instance_disk_bytes:  # there was more room then
            first = self._models.first(lambda model: model.on_disk)
            assert first is not None
            await self._evict(first, delete=True)

    def holds(self, source: ModelSource) -> bool:
        """Return whether a model is loaded, or being loaded, here."""
        model = self._models.get(source.model_name)
        return model is not None and (self._is_loaded(model) or model.loading is not None)

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
        self._models.touch(model)
        self._loaded.touch(model)
        try:
            hit = self._is_loaded(model)
            if source.target_model:
                self._metrics.record("ModelCacheHit", float(hit))
            if not hit:
                await self._wait_until_loaded(model)
            assert model.loaded_in is not None
            yield model.loaded_in
        finally:
            model.in_use -= 1
            if not self._keep_models and model.idle and model.on_disk:
                await self._evict(model, delete=True)
            self._forget_if_empty(model)
            self._changed.set()

    async def close(self) -> None:
        """End all loading; nothing writes to the disk afterwards."""
        loads = [model.loading for model in self._models if model.loading]
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        await self._disk.close()

    def _model(self, source: ModelSource) -> Model:
        model = self._models.get(source.model_name)
        if model is None:
            model = Model(source, self._folder / source.model_name)
            self._models.add(model)
        return model

    def _is_loaded(self, model: Model) -> bool:
        return model.loaded_in is not None and model.loaded_in is self.container

    def _set_queued(self, model: Model, *, queued: bool) -> None:
        self._queued += queued - model.queued
        model.queued = queued

    async def _wait_until_loaded(self, model: Model) -> None:
        if model.loading is None:
            if self._queued >= self._settings.max_queued_loads:
                raise unavailable(f"Too many models wait to be loaded on instance {self._name}. Try again.")
            self._set_queued(model, queued=True)
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
        if not self._is_loaded(model):
            raise ContainerLostError(self._name)
        if model.source.target_model:
            self._metrics.record_seconds("ModelLoadingWaitTime", time.monotonic() - started)

    async def _load(self, model: Model) -> None:
        model.in_use += 1  # nobody may evict what is being loaded
        name = model.source.model_name
        try:
            async with self._turns:
                self._set_queued(model, queued=False)
                async with model.lock:
                    container = self.container
                    if container is None:
                        raise ContainerLostError(self._name)
                    if not model.on_disk:
                        started = time.monotonic()
                        await self._disk.fetch(model, lambda: self._refuse_bad_archive(model))
                        self._time(model, "ModelDownloadingTime", started)
                    started = time.monotonic()
                    await self._load_into(container, model)
                    self._time(model, "ModelLoadingTime", started)
                    model.loaded_in = container
                    if container is self.container:
                        self._loaded.add(model)
                    if not model.entered and self._keep_models:
                        await self._disk.enter(model)
            self._failures.pop(name, None)
        except (ContainerError, ArchiveError) as error:
            until = time.monotonic() + REMEMBER_FAILURE_SECONDS
            self._failures[name] = _Failure(model.etag, error, until)
            if isinstance(error, ArchiveError):
                raise invocation(
                    f'Failed to extract model data archive from URL "{model.source.uri}". Please ensure that the '
                    f"object located at the URL is a valid tar.gz archive. {error}"
                ) from error
            raise
        except OSError as error:
            reason = f"The instance's disk cannot be written: {error.strerror}."
            raise ServiceError("InternalFailure", reason, status=500) from error
        finally:
            model.loading = None
            self._set_queued(model, queued=False)
            model.in_use -= 1
            self._forget_if_empty(model)
            self._changed.set()

    async def _make_room(self, model: Model, size: int) -> None:
        async with self._disk_room:
            while self._disk.used - model.size + size > self._settings.instance_disk_bytes:
                victim = self._models.first(lambda other: other.idle and other.on_disk and other is not model)
                if victim:
                    await self._evict(victim, delete=True)
                else:
                    await self._wait_for_change()
            self._disk.resize(model, size)

    async def _load_into(self, container: ContainerProcess, model: Model) -> None:
        document = {"model_name": model.source.model_name, "url": str(model.folder)}
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
                victim = self._loaded.first(lambda other: other.idle)
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
            await self._unload(model)
            if delete:
                await self._disk.delete(model)
        self._forget_if_empty(model)
        self._changed.set()

    async def _unload(self, model: Model) -> None:
        container, model.loaded_in = model.loaded_in, None
        self._loaded.discard(model)
        if container is None or container is not self.container:
            return
        started = time.monotonic()
        with contextlib.suppress(ServiceError):  # of a dead container nothing is left to unload
            await container.call("DELETE", f"/models/{model.source.model_name}")
            self._time(model, "ModelUnloadingTime", started)

    def _forget_if_empty(self, model: Model) -> None:
        unused = model.in_use == 0 and model.loading is None and not model.lock.locked()
        if unused and not model.size:
            self._models.discard(model)

    def _time(self, model: Model, metric: str, started: float) -> None:
        if model.source.target_model:  # an ordinary endpoint has no such metrics
            self._metrics.record_seconds(metric, time.monotonic() - started)

    async def _wait_for_change(self) -> None:
        """Wait until a model may have become idle."""
        self._changed.clear()
        await self._changed.wait()

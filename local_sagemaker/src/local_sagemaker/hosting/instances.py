"""One serving instance: a container that is replaced when it dies, and the models in it."""

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from local_sagemaker.errors import ContainerLostError, unavailable
from local_sagemaker.hosting.container_process import Call, ContainerProcess, ContainerResponse
from local_sagemaker.hosting.inventory import delete
from local_sagemaker.hosting.model_cache import ModelCache
from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.hosting.spare_container import SpareContainer
from local_sagemaker.services import metrics
from local_sagemaker.services.log_store import LogStream
from local_sagemaker.services.metrics import VariantMetrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings

logger = logging.getLogger(__name__)


def new_instance_id() -> str:
    """Return a random instance id in the form of EC2's."""
    return f"i-0{secrets.token_hex(8)}"


class Instance:
    """A machine of a production variant."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        settings: Settings,
        objects: Objects,
        variant_metrics: VariantMetrics,
        log: LogStream,
        spare: SpareContainer,
        keep_models: bool = True,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Describe an instance, whose disk is the folder; ``start`` brings it up.

        Without ``keep_models`` each model is unloaded and deleted right after its call (``ModelCacheSetting``).
        """
        self.name = name
        self.in_flight = 0  # calls under way, waiting ones included
        self.last_call = 0.0  # when the last one came, on a clock of the process
        self.models = ModelCache(
            name,
            folder / "models",
            settings=settings,
            objects=objects,
            variant_metrics=variant_metrics,
            keep_models=keep_models,
        )
        self._folder = folder
        self._objects = objects
        self._settings = settings
        self._metrics = variant_metrics
        self._log = log
        self._spare = spare
        self._environment = environment
        self._container: ContainerProcess | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._lost = False  # its container did not come back
        self._down = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether its container runs."""
        return self._ready.is_set() and not self._lost

    async def start(self, *, on_loss: Callable[["Instance"], None]) -> None:
        """Start the container and wait until it answers; models that an earlier server left on the disk are kept.

        ``on_loss`` is called if the container dies later and does not come back. The errors are those of its start.
        """
        await asyncio.to_thread(self._clear)
        await self.models.restore()
        await self._start_container()
        self._watcher = asyncio.create_task(self._watch(on_loss))

    async def drain(self) -> None:
        """Wait until no call is under way; who calls this sends no more."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()

    async def stop(self, *, keep_disk: bool = False) -> None:
        """End the container and delete the disk, unless it is kept for the next start of the server."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._ready.clear()
        await self.models.close()
        if self._container:
            await self._container.stop()
        if not keep_disk:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def invoke(self, source: ModelSource, call: Call) -> ContainerResponse:
        """Answer a call, loading the model first if needed.

        The errors are those of ``ModelCache.use`` and of ``ContainerProcess.invoke``.
        """
        if self.in_flight >= self._settings.max_queued_calls:
            raise unavailable(f"Instance {self.name} has too many calls under way. Try again.")
        self.in_flight += 1
        self.last_call = time.monotonic()
        try:
            await self._until_ready()
            async with self.models.use(source) as container:
                started = time.monotonic()
                try:
                    return await container.invoke(source.model_name, call, target_model=source.target_model)
                finally:
                    self._metrics.record_seconds("ModelLatency", time.monotonic() - started)
        except ContainerLostError:
            # Once the caller hears of it, its next call must wait for the new container, not fail as well.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._down.wait(), self._settings.ping_seconds)
            raise
        finally:
            self.in_flight -= 1
            self._idle.set()

    def record_usage(self, *, multi_model: bool) -> None:
        """Publish how many models are loaded, and how far the machine is used."""
        if not self.ready or self._container is None:
            return
        if multi_model:
            self._metrics.record("LoadedModelCount", self.models.loaded_count, namespace=metrics.INSTANCES)
        self._metrics.record("CPUUtilization", self._container.cpu_percent(), namespace=metrics.INSTANCES)
        self._metrics.record("MemoryUtilization", self.models.memory_percent, namespace=metrics.INSTANCES)
        self._metrics.record("DiskUtilization", self.models.disk_percent, namespace=metrics.INSTANCES)

    def _clear(self) -> None:
        """Make the folder; what a container of an earlier server left there goes, but for the models."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name not in ("models", "models-inventory"):  # the disk and what is entered of it
                delete(path)

    async def _until_ready(self) -> None:
        """Hold a call back while a container that died is replaced."""
        if self.ready:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), self._settings.invocation_seconds)
        if not self.ready:
            raise unavailable(f"Instance {self.name} is not available at the moment. Try again.")

    def _bring_code(self) -> None:
        """Put the scripts for all models that the environment names where the container looks for them."""
        place = (self._environment.get(f"SAGEMAKER_MULTI_MODEL_UNIVERSAL_{part}") for part in ("BUCKET", "PREFIX"))
        bucket, prefix = place
        if bucket and prefix:
            code = self._folder / "code"
            code.mkdir(exist_ok=True)
            for stored in self._objects.list(bucket, prefix):
                rest = stored.key.removeprefix(prefix)
                if rest.rpartition("/")[0] == "" and not stored.key.endswith("/"):  # nothing deeper, as on AWS
                    shutil.copyfile(stored.path, code / stored.key.rpartition("/")[2])

    async def _start_container(self) -> None:
        await asyncio.to_thread(self._bring_code)
        container = ContainerProcess(
            self.name,
            self._folder,
            settings=self._settings,
            log=self._log,
            spare=self._spare,
            environment=self._environment,
        )
        self._container = container
        await container.start()
        self.models.container = container
        self._down.clear()
        self._ready.set()

    async def _until_lost(self) -> None:
        """Wait until the container ends, or has failed too many pings in a row."""
        assert self._container is not None
        failed = 0
        while failed < self._settings.max_failed_pings:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._container.wait(), self._settings.ping_interval_seconds)
                return
            failed = 0 if await self._container.answers_ping() else failed + 1

    async def _watch(self, on_loss: Callable[["Instance"], None]) -> None:
        """Replace a container that dies or answers no more; its models are loaded again when they are next called."""
        while True:
            await self._until_lost()
            assert self._container is not None
            logger.warning("The container of %s ended or answers no more; starting another.", self.name)
            self._ready.clear()
            self._down.set()
            await self._container.stop()
            for attempt in range(1, self._settings.container_starts + 1):
                try:
                    await self._start_container()
                    break
                except (RuntimeError, OSError) as error:
                    logger.error("attempt %d: %s", attempt, error)
            else:
                self._lost = True
                self._ready.set()  # whoever waits need not wait longer
                on_loss(self)
                return

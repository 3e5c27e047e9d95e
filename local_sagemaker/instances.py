"""One serving instance: a container process, its disk of unpacked models, and what is loaded in it.

The platform side of a multi-model endpoint. On a call it downloads and unpacks the model if its disk lacks it, asks the
container to load it, makes room by unloading the least recently used models, and passes the call on.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from local_sagemaker import archives, aws_services, metrics
from local_sagemaker.archives import ArchiveError
from local_sagemaker.errors import ServiceError, invocation
from local_sagemaker.metrics import VariantMetrics
from local_sagemaker.objects import Objects
from local_sagemaker.processes import Process
from local_sagemaker.settings import Settings

logger = logging.getLogger(__name__)
_TARGET_MODEL_HEADER = "X-Amzn-SageMaker-Target-Model"


@dataclass(frozen=True)
class ModelSource:
    """Where a model's archive lies.

    Attributes:
        bucket: S3 bucket.
        key: S3 key of the ``tar.gz`` archive.
        target_model: Value of the ``TargetModel`` header; empty on a single-model endpoint.
    """

    bucket: str
    key: str
    target_model: str

    @property
    def uri(self) -> str:
        """S3 URI of the archive."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def model_name(self) -> str:
        """The opaque name under which the container knows the model."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ContainerResponse:
    """What the container answered."""

    status: int
    content_type: str
    body: bytes


@dataclass
class _Model:
    source: ModelSource
    folder: Path
    size: int = 0
    on_disk: bool = False
    loaded: bool = False
    in_use: int = 0
    last_used: float = 0.0
    requested: bool = False  # the container is asked to load it
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # held while it is loaded or evicted
    loading: asyncio.Task[None] | None = field(default=None, repr=False)


class Instance:
    """A container process and its models."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        settings: Settings,
        objects: Objects,
        variant_metrics: VariantMetrics,
        log: aws_services.LogStream,
        cache_models: bool = True,
    ) -> None:
        """Describe an instance; ``start`` brings it up.

        Args:
            name: Instance name, for logs.
            folder: Its disk.
            settings: Limits.
            objects: S3 objects.
            variant_metrics: Where its metrics go.
            log: Where the container's output goes.
            cache_models: False unloads and deletes each model right after its call (``ModelCacheSetting``).
        """
        self.name = name
        self._folder = folder
        self._settings = settings
        self._objects = objects
        self._metrics = variant_metrics
        self._log = log
        self._cache_models = cache_models
        self._models: dict[str, _Model] = {}
        self._process: Process | None = None
        self._socket: Path | None = None
        self._http: aiohttp.ClientSession | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._room = asyncio.Lock()

    @property
    def in_flight(self) -> int:
        """Number of calls under way."""
        return sum(model.in_use for model in self._models.values())

    @property
    def loaded_count(self) -> int:
        """Number of loaded models."""
        return sum(model.loaded for model in self._models.values())

    def holds(self, source: ModelSource) -> bool:
        """Return whether a model is loaded, or being loaded, here."""
        model = self._models.get(source.model_name)
        return model is not None and (model.loaded or model.loading is not None)

    async def start(self) -> None:
        """Start the container and wait until it answers.

        Raises:
            RuntimeError: If it does not come up in time.
        """
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        await self._start_container()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End the container and delete the disk."""
        if self._watcher:
            self._watcher.cancel()
        loads = [model.loading for model in self._models.values() if model.loading]
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        await self._stop_container()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def invoke(self, source: ModelSource, content_type: str, accept: str, body: bytes) -> ContainerResponse:
        """Answer a call, loading the model first if needed.

        Raises:
            ServiceError: ``ModelNotReadyException`` if loading takes too long, ``ValidationError`` if there is no
                usable archive, ``ServiceUnavailable`` if the container went away.
        """
        model = self._model(source)
        model.in_use += 1
        model.last_used = time.monotonic()
        try:
            self._metrics.record("ModelCacheHit", float(model.loaded))
            if not model.loaded:
                started = time.monotonic()
                await self._wait_until_loaded(model)
                self._metrics.record_seconds("ModelLoadingWaitTime", time.monotonic() - started)
            started = time.monotonic()
            response = await self._post_invocation(model, content_type, accept, body)
            self._metrics.record_seconds("ModelLatency", time.monotonic() - started)
            return response
        finally:
            model.in_use -= 1
            if not self._cache_models and model.in_use == 0 and not model.lock.locked():
                await self._evict(model, delete=True)

    async def load(self, source: ModelSource) -> None:
        """Load a model without a call, as a single-model endpoint does before it serves."""
        await self._wait_until_loaded(self._model(source))

    def _model(self, source: ModelSource) -> _Model:
        name = source.model_name
        if name not in self._models:
            self._models[name] = _Model(source, self._folder / "models" / name)
        return self._models[name]

    async def _wait_until_loaded(self, model: _Model) -> None:
        if model.loading is None:
            model.loading = asyncio.create_task(self._load(model))
            model.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.wait_for(asyncio.shield(model.loading), self._settings.cold_start_seconds)
        except TimeoutError:
            message = f"Model {model.source.target_model} is not ready for inference yet. Please try again later."
            raise ServiceError("ModelNotReadyException", message, status=429) from None

    async def _load(self, model: _Model) -> None:
        model.in_use += 1  # nobody may evict what is being loaded
        try:
            async with asyncio.timeout(self._settings.model_load_seconds), model.lock:
                if not model.on_disk:
                    await self._download(model)
                started = time.monotonic()
                await self._load_into_container(model)
                self._metrics.record_seconds("ModelLoadingTime", time.monotonic() - started)
                model.loaded = True
            self._record_usage()
        finally:
            model.loading = None
            model.in_use -= 1

    async def _download(self, model: _Model) -> None:
        source = model.source
        stored = self._objects.get(source.bucket, source.key)
        if stored is None:
            del self._models[source.model_name]
            raise invocation(
                f"Failed to download model data (bucket: {source.bucket}, key: {source.key}). Please ensure that "
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                "download the model."
            )
        started = time.monotonic()
        try:
            model.size = await asyncio.to_thread(
                archives.unpack,
                stored.path,
                model.folder,
                max_bytes=min(self._settings.max_archive_bytes, self._settings.instance_disk_bytes),
                max_members=self._settings.max_archive_members,
            )
        except ArchiveError as error:
            del self._models[source.model_name]
            raise invocation(
                f'Failed to extract model data archive from URL "{source.uri}". Please ensure that the object located '
                f"at the URL is a valid tar.gz archive. {error}"
            ) from error
        model.on_disk = True
        self._metrics.record_seconds("ModelDownloadingTime", time.monotonic() - started)
        await self._free_disk(keep=model)

    async def _load_into_container(self, model: _Model) -> None:
        document = {"model_name": model.source.model_name, "url": str(model.folder)}
        while True:
            model.requested = True
            try:
                status, text = await self._call("POST", "/models", json=document)
            finally:
                model.requested = False
            if status in (200, 409):
                return
            others = [other for other in self._models.values() if other is not model]
            if status != 507 or not any(other.loaded or other.requested for other in others):
                raise model_error(status, text)
            async with self._room:  # one at a time, so that two loads do not both unload for the same room
                victim = self._least_recently_used(lambda other: other.loaded)
                if victim:
                    await self._evict(victim)
                else:
                    await asyncio.sleep(0.01)  # every other model is answering a call: one will be idle soon

    async def _free_disk(self, *, keep: _Model) -> None:
        while sum(model.size for model in self._models.values() if model.on_disk) > self._settings.instance_disk_bytes:
            victim = self._least_recently_used(lambda other: other.on_disk and other is not keep)
            if victim is None:
                return
            await self._evict(victim, delete=True)

    def _least_recently_used(self, eligible) -> _Model | None:
        idle = [model for model in self._models.values() if model.in_use == 0 and not model.lock.locked()]
        candidates = [model for model in idle if eligible(model)]
        return min(candidates, key=lambda model: model.last_used, default=None)

    async def _evict(self, model: _Model, *, delete: bool = False) -> None:
        """Unload an idle model, and delete its files if asked to; a call that comes meanwhile loads it afterwards."""
        async with model.lock:
            await self._unload(model)
            if delete:
                await self._delete_files(model)

    async def _unload(self, model: _Model) -> None:
        if not model.loaded:
            return
        model.loaded = False
        started = time.monotonic()
        await self._call("DELETE", f"/models/{model.source.model_name}")
        self._metrics.record_seconds("ModelUnloadingTime", time.monotonic() - started)
        self._record_usage()

    async def _delete_files(self, model: _Model) -> None:
        model.on_disk = False
        await asyncio.to_thread(shutil.rmtree, model.folder, ignore_errors=True)

    def _record_usage(self) -> None:
        on_disk = sum(model.size for model in self._models.values() if model.on_disk)
        self._metrics.record("LoadedModelCount", self.loaded_count, namespace=metrics.INSTANCES)
        used = 100 * on_disk / self._settings.instance_disk_bytes
        self._metrics.record("DiskUtilization", used, namespace=metrics.INSTANCES)

    async def _post_invocation(self, model: _Model, content_type: str, accept: str, body: bytes) -> ContainerResponse:
        headers = {"Content-Type": content_type, _TARGET_MODEL_HEADER: model.source.target_model}
        if accept:
            headers["Accept"] = accept
        path = f"/models/{model.source.model_name}/invoke"
        try:
            timeout = aiohttp.ClientTimeout(total=self._settings.invocation_seconds)
            async with self._session.post(path, data=body, headers=headers, timeout=timeout) as response:
                payload = await response.read()
                return ContainerResponse(response.status, response.headers.get("Content-Type", ""), payload)
        except TimeoutError:
            raise model_error(0, "Timed out while waiting for a response from the container.") from None
        except aiohttp.ClientError as error:
            raise _unavailable(self.name) from error

    async def _call(self, method: str, path: str, **options: object) -> tuple[int, str]:
        try:
            async with self._session.request(method, path, **options) as response:
                return response.status, await response.text()
        except aiohttp.ClientError as error:
            raise _unavailable(self.name) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise _unavailable(self.name)
        return self._http

    async def _start_container(self) -> None:
        self._socket = self._settings.sockets / secrets.token_hex(8)
        socket = str(self._socket)
        memory = str(self._settings.instance_memory_bytes)
        command = [
            sys.executable,
            "-m",
            "local_sagemaker.container",
            "--socket",
            socket,
            "--memory-bytes",
            memory,
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
        process = Process(command, environment=environment, folder=self._folder)
        self._process = process
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()
        connector = aiohttp.UnixConnector(path=socket, limit=0)
        session = aiohttp.ClientSession("http://container", connector=connector)
        deadline = time.monotonic() + self._settings.container_start_seconds
        while True:
            try:
                async with session.get("/ping") as response:
                    if response.status == 200:
                        break
            except aiohttp.ClientError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                await session.close()
                await self._stop_container()
                raise RuntimeError(f"The container of {self.name} did not pass the ping health check.")
            await asyncio.sleep(0.05)
        self._http = session

    async def _stop_container(self) -> None:
        if self._http:
            await self._http.close()
            self._http = None
        if self._process:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None
        if self._socket:
            self._socket.unlink(missing_ok=True)

    async def _watch(self) -> None:
        """Replace a container that dies; its models are loaded again when they are next called."""
        while True:
            process = self._process
            if process is None:
                return
            await asyncio.to_thread(process.wait)
            logger.warning("The container of %s ended; starting another.", self.name)
            for model in self._models.values():
                model.loaded = False
            await self._stop_container()
            with contextlib.suppress(RuntimeError):
                await self._start_container()

    def _follow(self, process: Process) -> None:
        assert process.output is not None
        for raw in process.output:
            self._log.write(raw.decode("utf-8", errors="replace").rstrip("\r\n"), timestamp=time.time())


def model_error(status: int, text: str) -> ServiceError:
    """Return the ``ModelError`` with which the platform passes on a container's error."""
    kind = "client" if 400 <= status < 500 else "server"
    code = f"{kind.upper()}_ERROR_FROM_MODEL"
    return ServiceError(
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{text}".',
        status=424,
        ErrorCode=code,
        OriginalStatusCode=status,
        OriginalMessage=text,
    )


def _unavailable(name: str) -> ServiceError:
    message = f"Instance {name} is not available at the moment. Try again."
    return ServiceError("ServiceUnavailable", message, status=503)

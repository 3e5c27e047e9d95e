"""Production variants: which model they serve, on which instances, and which of them answers a call."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker import s3_addresses, software
from local_sagemaker.errors import runtime_validation
from local_sagemaker.hosting.instances import Instance, new_instance_id
from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.hosting.spare_container import SpareContainer
from local_sagemaker.services.log_store import LogStream
from local_sagemaker.services.metrics import Metrics, VariantMetrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import MAX_TARGET_MODEL_CHARACTERS, Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Host:
    """What the variants of an endpoint need of the server."""

    endpoint: str  # endpoint name
    region: str  # its AWS Region
    settings: Settings  # limits and folders
    objects: Objects  # S3 objects
    metrics: Metrics  # where the metrics of all endpoints go
    spare: SpareContainer  # a process that may become a container of any endpoint

    @property
    def log_group(self) -> str:
        """Name of the CloudWatch Logs group."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def folder(self) -> Path:
        """Folder with the disks of the endpoint's instances."""
        return self.settings.endpoints / self.endpoint


class Variant:
    """A production variant and its instances."""

    def __init__(self, plan: dict[str, Any], host: Host, *, on_loss: Callable[[str], None]) -> None:
        """Describe a variant by the plan of the endpoint's record; ``scale`` gives it instances.

        ``on_loss`` is called with the reason when it has lost all of them.
        """
        self.name: str = plan["VariantName"]
        self.weight: float = plan["DesiredWeight"]
        self.multi_model = plan["Mode"] == "MultiModel"
        self.instances: list[Instance] = []
        self.metrics = VariantMetrics(host.metrics, host.endpoint, self.name, region=host.region)
        self._bucket, self._prefix = s3_addresses.parse(plan["ModelDataUrl"])
        if self.multi_model and self._prefix and not self._prefix.endswith("/"):
            self._prefix += "/"
        self._image: str = plan["Image"]
        self._keep_models = plan["ModelCacheSetting"] == "Enabled"
        self._environment: dict[str, str] = plan["Environment"]
        self._settings = host.settings.limited_by(self._environment)
        self._host = host
        self._on_loss = on_loss
        self._left: list[str] = []  # instances of an earlier server, whose disks are there

    def source(self, target_model: str) -> ModelSource:
        """Return the archive a call is for; a ``ServiceError`` tells that the target model does not fit the variant."""
        endpoint = self._host.endpoint
        if not self.multi_model:
            if target_model:
                raise runtime_validation(
                    f"Endpoint {endpoint} is not a multi-model endpoint and does not support target model header."
                )
            return ModelSource(self._bucket, self._prefix, "")
        if not target_model:
            raise runtime_validation(
                f"Endpoint {endpoint} is a multi-model endpoint: the invocation must name its model in TargetModel."
            )
        target_model = target_model.removeprefix("/")  # as some public clients send it
        if (
            len(target_model) > MAX_TARGET_MODEL_CHARACTERS
            or not target_model.isprintable()
            or target_model[:1] in "/ "
        ):
            raise runtime_validation(
                f"Target model {target_model[:80]!r} is no valid name of an archive below the prefix."
            )
        if ".." in target_model.split("/"):
            raise runtime_validation(f"Target model {target_model!r} leaves the endpoint's S3 prefix.")
        return ModelSource(self._bucket, self._prefix + target_model, target_model)

    def instance(self, source: ModelSource) -> Instance:
        """Choose an instance: one that holds the model, unless the model is hot, else the one with the most room.

        Among equals it is the one whose last call is longest ago, or else, with little traffic, the first would get
        most of the loads.
        """
        running = [instance for instance in self.instances if instance.ready] or self.instances
        holding = [instance for instance in running if instance.models.holds(source)]
        others = [instance for instance in running if instance not in holding]
        if holding:
            chosen = min(holding, key=lambda instance: (instance.models.calls(source), instance.last_call))
            if not others or chosen.models.calls(source) < self._host.settings.hot_model_calls:
                return chosen
        return min(others, key=lambda each: (each.models.loaded_count, each.in_flight, each.last_call))

    def adopt(self, count: int) -> None:
        """Let so many instances have the names and disks that an earlier server left, and delete the other disks."""
        folder = self._host.folder / self.name
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        self._left = names[:count]
        for name in names[count:]:
            shutil.rmtree(folder / name, ignore_errors=True)

    async def scale(self, count: int) -> None:
        """Start or end instances until there are so many; calls are answered meanwhile.

        Raises:
            Exception: If one does not come up, or cannot load the model of a single-model endpoint; none is added then.
        """
        surplus, self.instances = self.instances[count:], self.instances[:count]
        await stop_instances(surplus)
        new = [self._new_instance() for _ in range(count - len(self.instances))]

        async def start(instance: Instance) -> None:
            await instance.start(on_loss=self._lose)
            if not self.multi_model:
                async with instance.models.use(self.source("")):
                    pass  # it is loaded before the endpoint serves

        starts = [asyncio.create_task(start(instance)) for instance in new]
        try:
            await asyncio.gather(*starts)
        except BaseException as error:
            for task in starts:
                task.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await stop_instances(new, drain=False, keep_disks=isinstance(error, asyncio.CancelledError))
            raise
        self.instances += new

    def _lose(self, instance: Instance) -> None:
        if instance in self.instances:
            self.instances.remove(instance)
        if not self.instances:
            self._on_loss(f"The container of the production variant {self.name} ended and did not start again.")

    def _new_instance(self) -> Instance:
        host = self._host
        name = f"{self.name}/{self._left.pop() if self._left else new_instance_id()}"
        log = LogStream(host.log_group, name, region=host.region)
        log.write(software.describe(self._image))
        return Instance(
            name,
            host.folder / name,
            settings=self._settings,
            objects=host.objects,
            spare=host.spare,
            variant_metrics=self.metrics,
            log=log,
            keep_models=self._keep_models,
            environment=self._environment,
        )


async def stop_instances(instances: list[Instance], *, drain: bool = True, keep_disks: bool = False) -> None:
    """End instances that get no more calls, after those under way if ``drain`` is set."""
    try:
        if drain:
            await asyncio.gather(*(instance.drain() for instance in instances))
    finally:
        stops = (instance.stop(keep_disk=keep_disks) for instance in instances)
        await asyncio.gather(*stops, return_exceptions=True)

"""Endpoints: production variants, their instances, and the way of a call to one of them."""

import asyncio
import logging
import random
import shutil
import time
from dataclasses import dataclass
from typing import Any

from local_sagemaker import aws_services
from local_sagemaker.errors import ServiceError, invocation
from local_sagemaker.instances import ContainerResponse, Instance, ModelSource, model_error
from local_sagemaker.metrics import Metrics, VariantMetrics
from local_sagemaker.objects import Objects, parse_uri
from local_sagemaker.records import Records, now
from local_sagemaker.settings import Settings, arn

ENDPOINT, CONFIG, MODEL = "endpoint", "endpoint_config", "model"
logger = logging.getLogger(__name__)


@dataclass
class _Variant:
    """A production variant that serves."""

    name: str
    weight: float
    multi_model: bool
    bucket: str
    prefix: str
    instances: list[Instance]
    metrics: VariantMetrics

    def source(self, endpoint: str, target_model: str) -> ModelSource:
        """Return the archive a call is for.

        Raises:
            ServiceError: If the target model does not fit the variant.
        """
        if not self.multi_model:
            if target_model:
                raise invocation(
                    f"Endpoint {endpoint} is not a multi-model endpoint and does not support target model header."
                )
            return ModelSource(self.bucket, self.prefix, "")
        if not target_model:
            raise invocation(
                f"Endpoint {endpoint} is a multi-model endpoint: the invocation must name its model in TargetModel."
            )
        if len(target_model) > 1024 or not target_model.isprintable() or target_model[0] in "/ ":
            raise invocation(f"Target model {target_model[:80]!r} is no valid name of an archive below the prefix.")
        if ".." in target_model.split("/"):
            raise invocation(f"Target model {target_model!r} leaves the endpoint's S3 prefix.")
        return ModelSource(self.bucket, self.prefix + target_model, target_model)

    def instance(self, source: ModelSource) -> Instance:
        """Choose an instance: one that holds the model, else the one with the fewest models."""
        holding = [instance for instance in self.instances if instance.holds(source)]
        if holding:
            return min(holding, key=lambda instance: instance.in_flight)
        return min(self.instances, key=lambda instance: (instance.loaded_count, instance.in_flight))


class Endpoints:
    """All endpoints of the server; their descriptions live in the records, their instances here."""

    def __init__(self, settings: Settings, records: Records, objects: Objects, metrics: Metrics) -> None:
        """Create the manager; ``resume`` brings recorded endpoints back."""
        self._settings = settings
        self._records = records
        self._objects = objects
        self._metrics = metrics
        self._serving: dict[str, list[_Variant]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resuming: dict[str, asyncio.Task[None]] = {}
        for folder in (settings.endpoints, settings.sockets):
            shutil.rmtree(folder, ignore_errors=True)
        settings.sockets.mkdir(mode=0o700)  # only the owner can connect to the containers

    def resume(self) -> None:
        """Start the instances of every recorded endpoint, and finish interrupted deletions."""
        for name, endpoint in self._records.all(ENDPOINT):
            if endpoint["EndpointStatus"] == "Deleting":
                self._records.delete(ENDPOINT, name)
            elif endpoint["EndpointStatus"] != "Failed":
                self.create(name)
                self._resuming[name] = self._tasks[name]

    def create(self, name: str) -> None:
        """Bring a recorded endpoint into service, in the background."""
        self._tasks[name] = asyncio.create_task(self._create(name))

    def delete(self, name: str) -> None:
        """Take an endpoint out of service and forget it, in the background."""
        self._records.update(ENDPOINT, name, EndpointStatus="Deleting", LastModifiedTime=now())
        creating = self._tasks.get(name)
        self._tasks[name] = asyncio.create_task(self._delete(name, creating))

    async def close(self) -> None:
        """Stop all instances; the records stay."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for name in list(self._serving):
            await self._stop(self._serving.pop(name))
        shutil.rmtree(self._settings.sockets, ignore_errors=True)

    async def invoke(
        self,
        name: str,
        body: bytes,
        *,
        content_type: str,
        accept: str,
        target_model: str,
        target_variant: str,
    ) -> tuple[ContainerResponse, str]:
        """Answer ``InvokeEndpoint``.

        Args:
            name: Endpoint name.
            body: Request body; passed on unread.
            content_type: Its media type.
            accept: Wanted media type, or empty.
            target_model: Archive below the endpoint's prefix, or empty.
            target_variant: Production variant, or empty for one by weight.

        Returns:
            The container's response and the name of the variant that answered.

        Raises:
            ServiceError: As AWS would answer.
        """
        started = time.monotonic()
        await self._until_resumed(name)
        variant = self._variant(name, target_variant)
        metrics = variant.metrics
        metrics.record("Invocations", 1)
        try:
            source = variant.source(name, target_model)
            called = time.monotonic()
            response = await variant.instance(source).invoke(source, content_type, accept, body)
            if response.status >= 400:
                raise model_error(response.status, response.body.decode("utf-8", errors="replace"))
        except ServiceError as error:
            client_error = 400 <= error.status < 500
            metrics.record("Invocation4XXErrors", float(client_error))
            metrics.record("Invocation5XXErrors", float(not client_error))
            if error.code == "ModelError":
                metrics.record("InvocationModelErrors", 1)
            raise
        metrics.record_seconds("OverheadLatency", called - started)
        return response, variant.name

    async def _until_resumed(self, name: str) -> None:
        """Hold a call back while the instances of a recorded endpoint come up after a restart of the server."""
        resuming = self._resuming.get(name)
        if resuming:
            await asyncio.wait([resuming])
            self._resuming.pop(name, None)

    def _variant(self, name: str, target_variant: str) -> _Variant:
        variants = self._serving.get(name)
        if variants is None:
            endpoint = self._records.get(ENDPOINT, name)
            if endpoint is None:
                raise invocation(f"Endpoint {name} of account {arn('sagemaker', '').split(':')[4]} not found.")
            raise invocation(
                f"Endpoint {name} is {endpoint['EndpointStatus']} and does not serve. Wait until it is InService."
            )
        if target_variant:
            for variant in variants:
                if variant.name == target_variant:
                    return variant
            raise invocation(f"Endpoint {name} has no production variant {target_variant!r}.")
        return random.choices(variants, weights=[variant.weight for variant in variants])[0]

    async def _create(self, name: str) -> None:
        endpoint = self._records.get(ENDPOINT, name)
        if endpoint is None:
            return
        variants: list[_Variant] = []
        try:
            config = self._records.get(CONFIG, endpoint["EndpointConfigName"])
            if config is None:
                raise RuntimeError(f"The endpoint configuration {endpoint['EndpointConfigName']} no longer exists.")
            variants = [self._describe_variant(endpoint, item) for item in config["ProductionVariants"]]
            async with asyncio.TaskGroup() as group:
                for variant in variants:
                    for instance in variant.instances:
                        group.create_task(self._start(variant, instance))
        except asyncio.CancelledError:
            await self._stop(variants)
            raise
        except Exception as error:
            await self._stop(variants)
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            reason = cause.message if isinstance(cause, ServiceError) else str(cause)
            logger.error("endpoint %s failed: %s", name, reason)
            self._records.update(
                ENDPOINT, name, EndpointStatus="Failed", FailureReason=reason[:1024], LastModifiedTime=now()
            )
            return
        self._serving[name] = variants
        self._records.update(ENDPOINT, name, EndpointStatus="InService", LastModifiedTime=now())

    async def _start(self, variant: _Variant, instance: Instance) -> None:
        await instance.start()
        if not variant.multi_model:
            await instance.load(ModelSource(variant.bucket, variant.prefix, ""))

    def _describe_variant(self, endpoint: dict[str, Any], item: dict[str, Any]) -> _Variant:
        model = self._records.get(MODEL, item["ModelName"])
        if model is None:
            raise RuntimeError(f"The model {item['ModelName']} no longer exists.")
        container = model.get("PrimaryContainer") or model["Containers"][0]
        bucket, prefix = parse_uri(container["ModelDataUrl"])
        multi_model = container.get("Mode") == "MultiModel"
        if multi_model and prefix and not prefix.endswith("/"):
            prefix += "/"
        region = endpoint["EndpointArn"].split(":")[3]
        endpoint_name, variant_name = endpoint["EndpointName"], item["VariantName"]
        variant_metrics = VariantMetrics(self._metrics, endpoint_name, variant_name, region=region)
        group = f"/aws/sagemaker/Endpoints/{endpoint_name}"
        caching = container.get("MultiModelConfig", {}).get("ModelCacheSetting", "Enabled") == "Enabled"
        instances = []
        for number in range(1, item.get("InitialInstanceCount", 1) + 1):
            name = f"{variant_name}/i-{number:04d}"
            instances.append(
                Instance(
                    name,
                    self._settings.endpoints / endpoint_name / name,
                    settings=self._settings,
                    objects=self._objects,
                    variant_metrics=variant_metrics,
                    log=aws_services.LogStream(group, name, region=region),
                    cache_models=caching,
                )
            )
        weight = item.get("InitialVariantWeight", 1.0)
        return _Variant(variant_name, weight, multi_model, bucket, prefix, instances, variant_metrics)

    async def _delete(self, name: str, creating: asyncio.Task[None] | None) -> None:
        if creating:
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
        await self._stop(self._serving.pop(name, []))
        folder = self._settings.endpoints / name
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._records.delete(ENDPOINT, name)

    async def _stop(self, variants: list[_Variant]) -> None:
        instances = [instance for variant in variants for instance in variant.instances]
        await asyncio.gather(*(instance.stop() for instance in instances), return_exceptions=True)

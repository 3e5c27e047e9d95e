"""Endpoints: from creation to deletion, and the way of a call to the fleet that serves it.

The record of an endpoint holds the plan of its fleet (``Fleet``), so that it serves on, and again after a restart, when
its configuration and models are deleted; and while it is updated, the plan of the next one (``PendingFleet``).
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from typing import Any

from local_sagemaker.errors import STORAGE_ERRORS, ContainerError, ServiceError, model_error, runtime_validation
from local_sagemaker.hosting.container_process import Call, ContainerResponse
from local_sagemaker.hosting.fleets import Fleet
from local_sagemaker.hosting.spare_container import SpareContainer
from local_sagemaker.hosting.variants import Host, Variant
from local_sagemaker.records import Records, now
from local_sagemaker.services.metrics import Metrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import ACCOUNT_ID, MAX_FAILURE_REASON_CHARACTERS, Settings, region_of

ENDPOINT, CONFIG, MODEL = "endpoint", "endpoint_config", "model"
logger = logging.getLogger(__name__)
_NOTHING_PENDING = {"PendingFleet": None, "PendingConfigName": None, "UpdateStartTime": None}
_AGAIN_AFTER = 1.0  # seconds, where the disk is full


class Endpoints:
    """All endpoints of the server; their descriptions live in the records, their fleets here."""

    def __init__(self, settings: Settings, records: Records, objects: Objects, metrics: Metrics) -> None:
        """Create the manager; ``resume`` brings recorded endpoints back."""
        self._settings = settings
        self._records = records
        self._objects = objects
        self._metrics = metrics
        self._serving: dict[str, Fleet] = {}
        self._changes: dict[str, asyncio.Task[None]] = {}  # the latest change of each endpoint
        self._resuming: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        shutil.rmtree(settings.temporary, ignore_errors=True)
        settings.make_temporary()
        self._spare = SpareContainer(settings)

    def resume(self) -> None:
        """Start the fleet of every recorded endpoint, and finish interrupted updates and deletions.

        The disks that an earlier server left go back to their endpoints; those of other endpoints are deleted.
        """
        self._run(self._publish_usage())
        self._spare.start()
        for name, endpoint in self._records.all(ENDPOINT):
            if endpoint["EndpointStatus"] == "Deleting":
                self._records.delete(ENDPOINT, name)
            elif endpoint["EndpointStatus"] != "Failed":
                self._change(name, self._resume(name))
                self._resuming[name] = self._changes[name]
        for folder in self._settings.endpoints.iterdir() if self._settings.endpoints.is_dir() else ():
            if folder.name not in self._resuming:
                shutil.rmtree(folder, ignore_errors=True)

    def create(self, name: str) -> None:
        """Bring a recorded endpoint into service, in the background."""
        self._change(name, self._create(name))

    def update(self, name: str) -> None:
        """Replace the fleet of an endpoint by the one that its record calls pending, in the background."""
        self._change(name, self._update(name))

    def rescale(self, name: str, previous: list[dict[str, Any]]) -> None:
        """Give the variants the weights and counts of the record in the background; if that fails, the former ones."""
        self._change(name, self._rescale(name, previous))

    def delete(self, name: str) -> None:
        """Take an endpoint out of service and forget it, in the background."""
        self._records.update(ENDPOINT, name, EndpointStatus="Deleting", LastModifiedTime=now())
        self._change(name, self._delete(name, self._changes.get(name)))

    async def close(self) -> None:
        """Stop all instances; the records stay, and the models on the instances' disks."""
        tasks = [*self._changes.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stops = (fleet.stop(drain=False, keep_disks=True) for fleet in self._serving.values())
        await asyncio.gather(*stops, return_exceptions=True)
        await asyncio.to_thread(self._spare.stop)
        self._serving.clear()
        shutil.rmtree(self._settings.temporary, ignore_errors=True)

    def instance_counts(self, name: str) -> dict[str, int]:
        """Return how many instances each variant of an endpoint has; empty while it does not serve."""
        fleet = self._serving.get(name)
        return {variant.name: len(variant.instances) for variant in fleet.variants} if fleet else {}

    async def invoke(
        self,
        name: str,
        call: Call,
        *,
        region: str,
        target_model: str,
        target_variant: str,
    ) -> tuple[ContainerResponse, str]:
        """Answer ``InvokeEndpoint``, with AWS's errors: return the response and the name of the variant that gave it.

        Target model and variant may be empty. An endpoint of another Region than the one asked is not found.
        """
        started = time.monotonic()
        resuming = self._resuming.get(name)
        if resuming and not resuming.done():  # the server was restarted: the instances come up
            await asyncio.wait([resuming])
        fleet = self._fleet(name, region)
        variant = fleet.choose(target_variant)
        variant.metrics.record("Invocations", 1)
        variant.metrics.record("InvocationsPerInstance", 1 / max(len(variant.instances), 1))
        try:
            source = variant.source(target_model)
            response = await variant.instance(source).invoke(source, call)
        except ContainerError as error:
            _count_errors(variant, error.status or 504, from_model=True)
            raise model_error(error, fleet.host.log_group, region=fleet.host.region) from error
        except ServiceError as error:
            _count_errors(variant, error.status)
            raise
        _count_errors(variant, 200)
        variant.metrics.record_seconds("OverheadLatency", time.monotonic() - started - response.seconds)
        return response, variant.name

    async def publish_metrics(self) -> None:
        """Hand all metrics to CloudWatch, the utilization of now included; other calls are answered meanwhile."""
        for fleet in self._serving.values():
            for variant in fleet.variants:
                for instance in variant.instances:
                    instance.record_usage(multi_model=variant.multi_model)
        await asyncio.to_thread(self._metrics.flush)

    def _fleet(self, name: str, region: str) -> Fleet:
        fleet = self._serving.get(name)
        if fleet is None or fleet.host.region != region:
            endpoint = self._records.get(ENDPOINT, name)
            if endpoint is None or region_of(endpoint["EndpointArn"]) != region:
                raise runtime_validation(f"Endpoint {name} of account {ACCOUNT_ID} not found.")
            raise runtime_validation(
                f"Endpoint {name} is {endpoint['EndpointStatus']} and does not serve. Wait until it is InService."
            )
        return fleet

    def _new_fleet(self, endpoint: dict[str, Any], plans: list[dict[str, Any]]) -> Fleet:
        region = region_of(endpoint["EndpointArn"])
        host = Host(endpoint["EndpointName"], region, self._settings, self._objects, self._metrics, self._spare)
        return Fleet(plans, host, on_loss=self._lose)

    async def _resume(self, name: str) -> None:
        await self._create(name, adopt=True)
        endpoint = self._records.get(ENDPOINT, name)
        if endpoint and endpoint.get("PendingFleet") and name in self._serving:
            await self._update(name)

    async def _create(self, name: str, *, adopt: bool = False) -> None:
        endpoint = self._records.get(ENDPOINT, name)
        if endpoint is None:
            return
        fleet = self._new_fleet(endpoint, endpoint["Fleet"])
        try:
            if adopt:
                await asyncio.to_thread(fleet.adopt)
            await fleet.start()
        except BaseException as error:
            await fleet.stop(drain=False, keep_disks=isinstance(error, asyncio.CancelledError))
            raise
        self._serving[name] = fleet
        if endpoint["EndpointStatus"] != "InService" and not endpoint.get("PendingFleet"):
            await self._settle(name)

    async def _update(self, name: str) -> None:
        endpoint = self._records.get(ENDPOINT, name)
        if endpoint is None:
            return
        fleet = self._new_fleet(endpoint, endpoint["PendingFleet"])
        try:
            await fleet.start()
        except BaseException:
            await fleet.stop(drain=False)
            raise
        previous, self._serving[name] = self._serving.get(name), fleet
        changes = {"EndpointConfigName": endpoint["PendingConfigName"], "Fleet": endpoint["PendingFleet"]}
        await self._record(name, **changes, **_NOTHING_PENDING)
        if previous:
            await previous.stop(drain=True)
        await self._settle(name)

    async def _rescale(self, name: str, previous: list[dict[str, Any]]) -> None:
        endpoint, fleet = self._records.get(ENDPOINT, name), self._serving.get(name)
        if endpoint is None or fleet is None:
            return
        plans = {plan["VariantName"]: plan for plan in endpoint["Fleet"]}
        for variant in fleet.variants:
            variant.weight = plans[variant.name]["DesiredWeight"]
        try:
            await fleet.rescale({plan: plans[plan]["DesiredInstanceCount"] for plan in plans})
        except Exception as error:
            for variant, plan in zip(fleet.variants, previous, strict=True):
                variant.weight = plan["DesiredWeight"]
            await self._settle(name, FailureReason=_reason(error), Fleet=previous)
        else:
            await self._settle(name)

    async def _delete(self, name: str, running: asyncio.Task[None] | None) -> None:
        if running:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        fleet = self._serving.pop(name, None)
        if fleet:
            await fleet.stop(drain=False)
        await asyncio.to_thread(shutil.rmtree, self._settings.endpoints / name, ignore_errors=True)
        await _until_written(lambda: self._records.delete(ENDPOINT, name))

    async def _record(self, name: str, **changes: Any) -> None:
        await _until_written(lambda: self._records.update(ENDPOINT, name, **changes))

    async def _settle(self, name: str, *, FailureReason: str | None = None, **changes: Any) -> None:
        """Record the end of a change: the endpoint is in service, unless it has lost its instances meanwhile."""
        if name in self._serving:
            changes |= {"EndpointStatus": "InService", "FailureReason": FailureReason, "LastModifiedTime": now()}
        await self._record(name, **changes)

    def _lose(self, fleet: Fleet, reason: str) -> None:
        """Take an endpoint out of service that has no instance left for one of its variants."""
        name = fleet.host.endpoint
        if self._serving.get(name) is fleet:
            del self._serving[name]
            self._run(self._fail(name, reason))
            self._run(fleet.stop(drain=False))

    async def _fail(self, name: str, reason: str) -> None:
        logger.error("endpoint %s failed: %s", name, reason)
        await self._record(name, EndpointStatus="Failed", FailureReason=reason, LastModifiedTime=now())

    def _change(self, name: str, change: Coroutine[Any, Any, None]) -> None:
        self._changes[name] = asyncio.create_task(self._guarded(name, change))

    async def _guarded(self, name: str, change: Coroutine[Any, Any, None]) -> None:
        """End a change that fails: what served before serves on, and where nothing does, the endpoint has failed."""
        try:
            await change
        except Exception as error:
            logger.info("a change of endpoint %s failed", name, exc_info=True)
            if name in self._serving:
                await self._settle(name, FailureReason=_reason(error), **_NOTHING_PENDING)
            else:
                await self._fail(name, _reason(error))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _publish_usage(self) -> None:
        while True:
            await asyncio.sleep(self._settings.metrics_seconds)
            with contextlib.suppress(Exception):  # the next time may go better
                await self.publish_metrics()
                await asyncio.to_thread(self._metrics.age, self._settings)


async def _until_written(change: Callable[[], object]) -> None:
    """Change a record; while the disk is full, try again: no endpoint stays in a passing status for ever."""
    while True:
        try:
            change()
            return
        except STORAGE_ERRORS as error:
            logger.warning("A change of an endpoint will be recorded later: %s", error)
            await asyncio.sleep(_AGAIN_AFTER)


def _count_errors(variant: Variant, status: int, *, from_model: bool = False) -> None:
    """Count a call in the metrics of errors, with 0 where it is none, so that their averages are rates."""
    variant.metrics.record("Invocation4XXErrors", float(400 <= status < 500))
    variant.metrics.record("Invocation5XXErrors", float(status >= 500))
    variant.metrics.record("InvocationModelErrors", float(from_model))


def _reason(error: Exception) -> str:
    return (error.message if isinstance(error, ServiceError) else str(error))[:MAX_FAILURE_REASON_CHARACTERS]

"""Whatever raises while a fleet is made or changed, the endpoint ends in a state that can be left."""

import asyncio
import threading

import pytest

from local_sagemaker.hosting import endpoints as module
from local_sagemaker.hosting.endpoints import ENDPOINT, Endpoints
from local_sagemaker.hosting.fleets import Fleet
from local_sagemaker.hosting.instances import Instance
from local_sagemaker.hosting.variants import Variant
from local_sagemaker.records import Records
from local_sagemaker.services import aws_services
from local_sagemaker.services.metrics import Metrics, VariantMetrics
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings

PLAN = {
    "VariantName": "AllTraffic",
    "DesiredWeight": 1.0,
    "DesiredInstanceCount": 1,
    "ModelDataUrl": "s3://models/m/",
    "Image": "tensorflow-inference:2.20-cpu",
    "Mode": "MultiModel",
    "ModelCacheSetting": "Enabled",
    "Environment": {},
}
# Where each change of an endpoint may fail.
STEPS = {
    "create": [(Variant, "__init__"), (Variant, "_new_instance"), (Instance, "start"), (Fleet, "start")],
    "resume": [(Variant, "__init__"), (Fleet, "adopt"), (Variant, "adopt"), (Fleet, "start")],
    "update": [(Variant, "__init__"), (Variant, "_new_instance"), (Instance, "start"), (Instance, "drain")],
    "rescale": [(Variant, "_new_instance"), (Instance, "start"), (Fleet, "rescale")],
    "delete": [(Fleet, "stop"), (module.shutil, "rmtree")],
}


async def nothing(*_, **__):
    """What an instance does in place of starting a container."""


def fail(*_, **__):
    raise KeyError("something that nobody thought of")


@pytest.fixture
def endpoints(tmp_path, monkeypatch):
    settings = Settings(home=tmp_path)
    records = Records(settings.database)
    for step in ("start", "drain", "stop"):
        monkeypatch.setattr(Instance, step, nothing)
    made = Endpoints(settings, records, Objects(settings.objects, records), Metrics())
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"
    records.put(ENDPOINT, "e", {"EndpointName": "e", "EndpointArn": arn, "EndpointStatus": "Creating", "Fleet": [PLAN]})
    yield made
    records.close()


async def test_calls_are_answered_while_metrics_wait_for_whoever_holds_those_of_cloudwatch(endpoints):
    held, answered = threading.Event(), threading.Event()
    in_time = []

    def hold():
        with aws_services.lock:
            held.set()
            in_time.append(answered.wait(10))

    VariantMetrics(endpoints._metrics, "e", "AllTraffic", region="us-east-1").record("Invocations", 1)
    holder = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(held.wait)
    published = asyncio.create_task(endpoints.publish_metrics())
    await asyncio.sleep(0.05)
    answered.set()
    await asyncio.gather(holder, published)
    await endpoints.close()
    assert in_time == [True]


async def change(endpoints, kind):
    arguments = {"resume": (), "rescale": ("e", [PLAN])}.get(kind, ("e",))
    getattr(endpoints, kind)(*arguments)
    await endpoints._changes["e"]


@pytest.mark.parametrize(
    ("kind", "owner", "step"),
    [(kind, *step) for kind, steps in STEPS.items() for step in steps],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_a_change_that_fails_anywhere_ends_with_its_reason_and_the_endpoint_can_be_deleted(
    endpoints, monkeypatch, kind, owner, step
):
    records = endpoints._records
    if kind not in ("create", "resume"):
        await change(endpoints, "create")
        assert records.get(ENDPOINT, "e")["EndpointStatus"] == "InService"
    pending = {"PendingFleet": [PLAN], "PendingConfigName": "next"} if kind == "update" else {}
    plans = [PLAN | {"DesiredInstanceCount": 2}] if kind == "rescale" else [PLAN]
    records.update(ENDPOINT, "e", EndpointStatus="Updating" if pending else "Creating", Fleet=plans, **pending)
    with monkeypatch.context() as broken:
        broken.setattr(owner, step, fail)
        await change(endpoints, kind)
    endpoint = records.get(ENDPOINT, "e")
    assert endpoint["EndpointStatus"] == ("InService" if endpoints.instance_counts("e") else "Failed")
    assert "something that nobody thought of" in endpoint["FailureReason"]
    assert not endpoint.get("PendingFleet") or endpoint["EndpointStatus"] == "Failed"
    await change(endpoints, "delete")
    assert records.get(ENDPOINT, "e") is None
    await endpoints.close()

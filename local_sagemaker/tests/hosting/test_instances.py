import asyncio
import json
import uuid
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

import psutil
import pytest
from botocore.exceptions import ClientError
from clients import eventually, packed, running

from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.container_process import Call
from local_sagemaker.hosting.instances import Instance
from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.settings import Settings

pytestmark = pytest.mark.slow

INSTANCES = "/aws/sagemaker/Endpoints"
DOCUMENT, ANSWER = {"instances": [[1, 2]]}, {"predictions": [[10, 20]]}


@pytest.fixture
def publish(tight_service, tight_bucket):
    """A function that puts bytes under a new target name and returns the name."""

    def publish_bytes(content: bytes) -> str:
        target = f"{uuid.uuid4().hex}.tar.gz"
        tight_service.s3.put_object(Bucket=tight_bucket, Key=f"models/{target}", Body=content)
        return target

    return publish_bytes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "not a valid tar.gz|no readable tar.gz"),
        (packed({"../../evil": b"x"}), "must not be unpacked"),
        (packed({"1/zeros": bytes(10 * 1024 * 1024)}), "unpacks to more than"),
        (packed({f"1/{n}": b"" for n in range(51)}), "more than 50 members"),
    ],
    ids=["text", "a path that climbs", "a bomb", "too many members"],
)
def test_a_corrupt_or_hostile_archive_is_refused_and_leaves_nothing(
    tight_service, tight_endpoint, publish, content, words
):
    disk = tight_service.status.home / "endpoints"
    before, target = {path for path in disk.rglob("*") if path.is_file()}, publish(content)
    for _ in range(2):  # the second time as the first
        with pytest.raises(ClientError, match=words) as failure:
            tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=target)
        assert failure.value.response["Error"]["Code"] == "ValidationError"
        assert "Failed to extract model data archive" in str(failure.value)
    assert {path for path in disk.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ({"model/saved_model.pb": b"x"}, 404, "Could not find valid base path"),
        ({"1/saved_model.pb": b"no model"}, 500, "Failed to load model"),
        ({"1/saved_model.pb": b"x", "1/variables/variables.data-00000-of-00001": bytes(3 << 20)}, 507, "Memory"),
    ],
    ids=["no version", "no graph", "larger than the whole memory"],
)
def test_an_archive_without_a_model_that_fits_is_the_containers_to_refuse(
    tight_service, tight_endpoint, publish, members, status, words
):
    with pytest.raises(ClientError, match=words) as failure:
        tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=publish(packed(members)))
    assert failure.value.response["OriginalStatusCode"] == status


def test_more_models_than_fit_are_all_served_at_the_same_time(tight_service, tight_endpoint, publish, model_archives):
    targets = [publish(model_archives["heavy"].read_bytes()) for _ in range(4)]  # the memory holds two
    invoke = tight_service.endpoints.invoke
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(invoke, tight_endpoint, {"instances": [1]}, target=target) for target in targets * 10]
    assert all(len(call.result()["predictions"]) == 1 for call in calls)
    count, total = tight_service.endpoints.metric(tight_endpoint, "DiskUtilization", namespace=INSTANCES)
    assert 0 < total / count <= 100


def test_without_the_model_cache_each_call_downloads_and_nothing_stays(service, models_bucket):
    name, endpoints = f"uncached-{uuid.uuid4().hex[:8]}", service.endpoints
    url = f"s3://{models_bucket}/models/"
    endpoints.create(name, url, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    for _ in range(2):
        endpoints.invoke(name, DOCUMENT, target="linear.tar.gz")
    assert endpoints.metric(name, "ModelDownloadingTime")[0] == 2
    assert endpoints.metric(name, "ModelCacheHit") == (2, 0)
    assert [path for path in (service.status.home / "endpoints" / name).rglob("*") if path.is_file()] == []
    documents = [{"instances": [[n, 0]]} for n in range(40)]
    with ThreadPoolExecutor(8) as pool:  # a call may come while the one before is clearing up
        answers = list(pool.map(lambda each: endpoints.invoke(name, each, target="linear.tar.gz"), documents))
    assert answers == [{"predictions": [[10 * n, 0]]} for n in range(40)]
    endpoints.delete(name)


def test_a_killed_container_is_replaced_and_a_client_that_retries_does_not_notice(tight_service, tight_endpoint):
    client = tight_service.client("sagemaker-runtime", retries={"mode": "standard", "total_max_attempts": 3})
    document = {"EndpointName": tight_endpoint, "TargetModel": "linear.tar.gz", "ContentType": "application/json"}
    [container] = tight_service.endpoints.containers()
    psutil.Process(container).kill()
    with ThreadPoolExecutor(8) as pool:
        bodies = [b'{"instances": [[%d, 0]]}' % number for number in range(16)]
        answers = list(pool.map(lambda body: client.invoke_endpoint(Body=body, **document)["Body"].read(), bodies))
    assert [json.loads(answer)["predictions"] for answer in answers] == [[[10 * n, 0]] for n in range(16)]
    assert container not in tight_service.endpoints.containers()


def test_a_call_in_flight_when_the_container_dies_gets_an_error_that_clients_retry(
    tight_service, tight_endpoint, publish, model_archives
):
    targets = [publish(model_archives["heavy"].read_bytes()) for _ in range(4)]
    [container] = tight_service.endpoints.containers()

    def call(target):
        try:
            return tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=target)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, target) for target in targets * 8]
        wait(calls, return_when=FIRST_COMPLETED)
        psutil.Process(container).kill()
        answers = [call.result() for call in calls]
    lost = [answer for answer in answers if isinstance(answer, tuple)]
    assert set(lost) == {("ServiceUnavailable", 503)}
    assert len(lost) <= 4  # those that were under way, and no later one


async def test_a_call_over_the_limit_of_queued_calls_is_refused(tmp_path):
    settings = replace(Settings(home=tmp_path), max_queued_calls=1)
    instance = Instance(
        "AllTraffic/i-1", tmp_path, settings=settings, objects=None, variant_metrics=None, log=None, spare=None
    )
    first = asyncio.create_task(instance.invoke(ModelSource("b", "k", "k"), Call(b"")))
    await asyncio.sleep(0)  # it waits for the container
    with pytest.raises(ServiceError, match="too many calls") as failure:
        await instance.invoke(ModelSource("b", "k", "k"), Call(b""))
    first.cancel()
    assert (failure.value.code, failure.value.status) == ("ServiceUnavailable", 503)


@pytest.fixture(scope="module")
def odd_service(tmp_path_factory):
    """A server that gives up soon: on cold starts, on containers, on staying on one instance."""
    limits = {"COLD_START_SECONDS": 0.001, "CONTAINER_STARTS": 1, "HOT_MODEL_CALLS": 1, "METRICS_SECONDS": 0.1}
    with running(tmp_path_factory.mktemp("odd"), **limits) as service:
        yield service


@pytest.fixture(scope="module")
def odd_endpoint(odd_service, model_archives):
    """An endpoint of two instances on that server."""
    bucket = odd_service.buckets.create()
    odd_service.s3.upload_file(str(model_archives["linear"]), bucket, "models/linear.tar.gz")
    odd_service.endpoints.create("odd", f"s3://{bucket}/models/", instances=2)
    return "odd"


def ready_answer(service, endpoint):
    """The model's answer; None while it is not ready."""
    try:
        return service.endpoints.invoke(endpoint, DOCUMENT, target="linear.tar.gz")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ModelNotReadyException"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert "Model linear.tar.gz is not ready for inference yet" in error.response["Error"]["Message"]
        return None


def test_a_slow_cold_start_is_not_ready_and_a_later_call_is_served(odd_service, odd_endpoint):
    assert ready_answer(odd_service, odd_endpoint) is None
    assert eventually(lambda: ready_answer(odd_service, odd_endpoint)) == ANSWER


def test_a_hot_model_spreads_to_another_instance(odd_service, odd_endpoint):
    def loads():
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ready_answer(odd_service, odd_endpoint), range(16)))
        return odd_service.endpoints.metric(odd_endpoint, "ModelLoadingTime")[0]

    eventually(lambda: loads() == 2)


def test_the_number_of_loaded_models_is_published_over_time(odd_service, odd_endpoint):
    looks = 0

    def published_more_often_than_looked_at():
        nonlocal looks
        looks += 1
        count, _ = odd_service.endpoints.metric(odd_endpoint, "LoadedModelCount", namespace=INSTANCES)
        return looks > 3 and count > 4 * looks  # each look has the two instances measured once

    eventually(published_more_often_than_looked_at)


def test_an_endpoint_whose_containers_do_not_come_back_says_so(odd_service, odd_endpoint):
    endpoints = odd_service.endpoints
    sockets = Settings(home=odd_service.status.home).temporary
    sockets.rename(sockets.with_suffix(".away"))
    sockets.touch()  # no container can listen
    try:
        psutil.Process(endpoints.containers()[0]).kill()
        eventually(lambda: endpoints.describe(odd_endpoint)["ProductionVariants"][0]["CurrentInstanceCount"] == 1)
        assert endpoints.status(odd_endpoint) == "InService"
        psutil.Process(endpoints.containers()[0]).kill()
        eventually(lambda: endpoints.status(odd_endpoint) == "Failed")
    finally:
        sockets.unlink()
        sockets.with_suffix(".away").rename(sockets)
    assert "ended and did not start again" in endpoints.describe(odd_endpoint)["FailureReason"]
    with pytest.raises(ClientError, match="is Failed and does not serve"):
        endpoints.invoke(odd_endpoint, DOCUMENT, target="linear.tar.gz")
    with pytest.raises(ClientError, match="in status Failed"):
        odd_service.sagemaker.update_endpoint(EndpointName=odd_endpoint, EndpointConfigName=odd_endpoint)
    endpoints.delete(odd_endpoint)
    assert endpoints.containers() == []


def test_the_containers_output_is_in_cloudwatch_logs(service, endpoint):
    service.endpoints.invoke(endpoint, DOCUMENT, target="linear.tar.gz")
    events = eventually(
        lambda: service.logs.filter_log_events(logGroupName=f"{INSTANCES}/{endpoint}", filterPattern="loaded")["events"]
    )
    assert all(event["logStreamName"].startswith("AllTraffic/i-") for event in events)


def test_an_endpoint_has_the_memory_that_its_models_environment_asks_for(service, model_archives):
    bucket, name = service.buckets.create(), f"small-{uuid.uuid4().hex[:8]}"
    for target in ("a", "b"):
        service.s3.upload_file(str(model_archives["heavy"]), bucket, f"{target}.tar.gz")
    room = {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1500000"}  # for one of them, which has 1 MiB of weights
    service.endpoints.create(name, f"s3://{bucket}/", Environment=room)
    for target in ("a", "b", "a"):
        service.endpoints.invoke(name, {"instances": [1]}, target=f"{target}.tar.gz")
    happened = ("ModelLoadingTime", "ModelUnloadingTime", "ModelDownloadingTime")
    assert [service.endpoints.metric(name, each)[0] for each in happened] == [3, 2, 2]
    service.endpoints.delete(name)

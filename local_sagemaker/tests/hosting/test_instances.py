import asyncio
import io
import json
import tarfile
import uuid
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import psutil
import pytest
from botocore.exceptions import ClientError

from local_sagemaker import daemon
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.container_process import Call
from local_sagemaker.hosting.instances import Instance
from local_sagemaker.hosting.models import ModelSource
from local_sagemaker.settings import Settings


@pytest.fixture
def publish(tight_service, tight_bucket):
    """A function that puts bytes under a new target name and returns the name."""

    def publish_bytes(content: bytes) -> str:
        target = f"{uuid.uuid4().hex}.tar.gz"
        tight_service.s3.put_object(Bucket=tight_bucket, Key=f"models/{target}", Body=content)
        return target

    return publish_bytes


def packed(*members):
    """A tar.gz archive of (name, content) pairs, or of whole member descriptions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def link():
    info = tarfile.TarInfo("1/saved_model.pb")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


BAD_ARCHIVES = {
    "text": (b"no archive", "not a valid tar.gz|no readable tar.gz"),
    "a path that climbs": (packed(("../../evil", b"x")), "must not be unpacked"),
    "a link": (packed(link()), "neither a file nor a folder"),
    "a bomb": (packed(("1/zeros", bytes(10 * 1024 * 1024))), "unpacks to more than"),
    "too many members": (packed(*((f"1/{n}", b"") for n in range(51))), "more than 50 members"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_corrupt_or_hostile_archive_is_refused_and_leaves_nothing(
    tight_service, tight_endpoint, publish, tmp_path, name
):
    content, words = BAD_ARCHIVES[name]
    target = publish(content)
    disk = tight_service.status.home / "endpoints"
    before = {path for path in disk.rglob("*") if path.is_file()}
    for _ in range(2):  # the second time as the first
        with pytest.raises(ClientError, match=words) as failure:
            tight_service.invoke(tight_endpoint, {"instances": [1]}, target=target)
        assert failure.value.response["Error"]["Code"] == "ValidationError"
        assert "Failed to extract model data archive" in str(failure.value)
    assert {path for path in disk.rglob("*") if path.is_file()} == before


def test_an_archive_is_accepted_once_it_is_repaired(
    tight_service, tight_endpoint, tight_bucket, publish, model_archives
):
    target = publish(b"no archive")
    with pytest.raises(ClientError):
        tight_service.invoke(tight_endpoint, {"instances": [[1, 2]]}, target=target)
    tight_service.s3.upload_file(str(model_archives["linear"]), tight_bucket, f"models/{target}")
    assert tight_service.invoke(tight_endpoint, {"instances": [[1, 2]]}, target=target) == {"predictions": [[10, 20]]}


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ([("model/saved_model.pb", b"x")], 404, "Could not find valid base path"),
        ([("1/saved_model.pb", b"no model")], 500, "Failed to load model"),
    ],
)
def test_an_archive_without_a_model_is_the_containers_to_refuse(
    tight_service, tight_endpoint, publish, members, status, words
):
    with pytest.raises(ClientError, match=words) as failure:
        tight_service.invoke(tight_endpoint, {"instances": [1]}, target=publish(packed(*members)))
    assert failure.value.response["OriginalStatusCode"] == status


def test_a_model_larger_than_the_whole_memory_is_refused(tight_service, tight_endpoint, publish):
    weights = ("1/variables/variables.data-00000-of-00001", bytes(3 * 1024 * 1024))
    target = publish(packed(("1/saved_model.pb", b"x"), weights))
    with pytest.raises(ClientError, match="Memory exhausted") as failure:
        tight_service.invoke(tight_endpoint, {"instances": [1]}, target=target)
    assert failure.value.response["OriginalStatusCode"] == 507


def test_a_full_disk_drops_the_model_that_was_used_longest_ago(tight_service, tight_endpoint, publish, model_archives):
    targets = [publish(model_archives["heavy"].read_bytes()) for _ in range(5)]  # the disk holds four

    def downloads_for(target):
        before = tight_service.metric(tight_endpoint, "ModelDownloadingTime")[0]
        tight_service.invoke(tight_endpoint, {"instances": [1]}, target=target)
        return tight_service.metric(tight_endpoint, "ModelDownloadingTime")[0] - before

    assert [downloads_for(target) for target in targets] == [1] * 5
    assert downloads_for(targets[4]) == 0
    assert downloads_for(targets[0]) == 1


def test_calls_that_arrive_together_load_a_model_once(service, endpoint, models_bucket, model_archives):
    target = f"{uuid.uuid4().hex}.tar.gz"
    service.s3.upload_file(str(model_archives["linear"]), models_bucket, f"models/{target}")
    before = [service.metric(endpoint, name)[0] for name in ("ModelDownloadingTime", "ModelLoadingTime")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: service.invoke(endpoint, {"instances": [[n, 0]]}, target=target), range(16)))
    assert answers == [{"predictions": [[10 * n, 0]]} for n in range(16)]
    after = [service.metric(endpoint, name)[0] for name in ("ModelDownloadingTime", "ModelLoadingTime")]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1]


def test_more_models_than_fit_are_all_served_at_the_same_time(tight_service, tight_endpoint, publish, model_archives):
    targets = [publish(model_archives["heavy"].read_bytes()) for _ in range(4)]  # the memory holds two
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(tight_service.invoke, tight_endpoint, {"instances": [1]}, target=target)
            for target in targets * 10
        ]
    assert all(len(call.result()["predictions"]) == 1 for call in calls)


def test_without_the_model_cache_each_call_downloads_and_nothing_stays(service, models_bucket):
    name = f"uncached-{uuid.uuid4().hex[:8]}"
    url = f"s3://{models_bucket}/models/"
    service.create_endpoint(name, url, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    for _ in range(2):
        service.invoke(name, {"instances": [[1, 2]]}, target="linear.tar.gz")
    assert service.metric(name, "ModelDownloadingTime")[0] == 2
    assert service.metric(name, "ModelCacheHit") == (2, 0)
    left = [path for path in (service.status.home / "endpoints" / name).rglob("*") if path.is_file()]
    assert left == []
    with ThreadPoolExecutor(8) as pool:  # a call may come while the one before is clearing up
        calls = [pool.submit(service.invoke, name, {"instances": [[n, 0]]}, target="linear.tar.gz") for n in range(40)]
    assert [call.result() for call in calls] == [{"predictions": [[10 * n, 0]]} for n in range(40)]
    service.delete_endpoint(name)


def test_a_killed_container_is_replaced_and_a_client_that_retries_does_not_notice(tight_service, tight_endpoint):
    client = tight_service.client("sagemaker-runtime", retries={"mode": "standard", "total_max_attempts": 3})
    document = {"EndpointName": tight_endpoint, "TargetModel": "linear.tar.gz", "ContentType": "application/json"}
    [container] = tight_service.containers()
    psutil.Process(container).kill()
    with ThreadPoolExecutor(8) as pool:
        bodies = [b'{"instances": [[%d, 0]]}' % number for number in range(16)]
        answers = list(pool.map(lambda body: client.invoke_endpoint(Body=body, **document)["Body"].read(), bodies))
    assert [json.loads(answer)["predictions"] for answer in answers] == [[[10 * n, 0]] for n in range(16)]
    assert container not in tight_service.containers()


def test_a_call_in_flight_when_the_container_dies_gets_an_error_that_clients_retry(
    tight_service, tight_endpoint, publish, model_archives
):
    targets = [publish(model_archives["heavy"].read_bytes()) for _ in range(4)]
    [container] = tight_service.containers()

    def call(target):
        try:
            return tight_service.invoke(tight_endpoint, {"instances": [1]}, target=target)
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


def test_a_call_over_the_limit_of_queued_calls_is_refused(tmp_path):
    instance = Instance(
        "AllTraffic/i-1",
        tmp_path,
        settings=Settings(home=tmp_path),
        objects=None,
        variant_metrics=None,
        log=None,
    )
    instance.in_flight = Settings().max_queued_calls
    with pytest.raises(ServiceError, match="too many calls") as failure:
        asyncio.run(instance.invoke(ModelSource("b", "k", "k"), Call(b"")))
    assert (failure.value.code, failure.value.status) == ("ServiceUnavailable", 503)


@pytest.fixture(scope="module")
def odd_service(tmp_path_factory, connect_service):
    """A server that gives up soon: on cold starts, on containers, on staying on one instance."""
    home = tmp_path_factory.mktemp("odd")
    limits = {"COLD_START_SECONDS": 0.001, "CONTAINER_STARTS": 1, "HOT_MODEL_CALLS": 1, "METRICS_SECONDS": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setenv(f"LOCAL_SAGEMAKER_{name}", str(value))
        service = connect_service(daemon.start(home))
    yield service
    daemon.stop(home)


@pytest.fixture(scope="module")
def odd_endpoint(odd_service, model_archives, eventually):
    """An endpoint of two instances on that server."""
    bucket = odd_service.bucket()
    odd_service.s3.upload_file(str(model_archives["linear"]), bucket, "models/linear.tar.gz")
    odd_service.create_model("odd", f"s3://{bucket}/models/")
    odd_service.create_config("odd", InitialInstanceCount=2)
    odd_service.sagemaker.create_endpoint(EndpointName="odd", EndpointConfigName="odd")
    eventually(lambda: odd_service.endpoint_status("odd") == "InService")
    return "odd"


def ready_answer(service, endpoint):
    """The model's answer; None while it is not ready."""
    try:
        return service.invoke(endpoint, {"instances": [[1, 2]]}, target="linear.tar.gz")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ModelNotReadyException"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert "Model linear.tar.gz is not ready for inference yet" in error.response["Error"]["Message"]
        return None


def test_a_slow_cold_start_is_not_ready_and_a_later_call_is_served(odd_service, odd_endpoint, eventually):
    assert ready_answer(odd_service, odd_endpoint) is None
    assert eventually(lambda: ready_answer(odd_service, odd_endpoint)) == {"predictions": [[10, 20]]}


def test_a_hot_model_spreads_to_another_instance(odd_service, odd_endpoint, eventually):
    def loads():
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ready_answer(odd_service, odd_endpoint), range(16)))
        return odd_service.metric(odd_endpoint, "ModelLoadingTime")[0]

    eventually(lambda: loads() == 2)


def test_the_number_of_loaded_models_is_published_over_time(odd_service, odd_endpoint, eventually):
    looks = 0

    def published_more_often_than_looked_at():
        nonlocal looks
        looks += 1
        count, _ = odd_service.metric(odd_endpoint, "LoadedModelCount", namespace="/aws/sagemaker/Endpoints")
        return looks > 3 and count > 4 * looks  # each look has the two instances measured once

    eventually(published_more_often_than_looked_at)


def test_an_endpoint_whose_containers_do_not_come_back_says_so(odd_service, odd_endpoint, eventually):
    def described():
        return odd_service.sagemaker.describe_endpoint(EndpointName=odd_endpoint)

    sockets = Settings(home=odd_service.status.home).temporary
    sockets.rename(sockets.with_suffix(".away"))  # no container can listen
    try:
        psutil.Process(odd_service.containers()[0]).kill()
        eventually(lambda: described()["ProductionVariants"][0]["CurrentInstanceCount"] == 1)
        assert described()["EndpointStatus"] == "InService"
        psutil.Process(odd_service.containers()[0]).kill()
        eventually(lambda: described()["EndpointStatus"] == "Failed")
    finally:
        sockets.with_suffix(".away").rename(sockets)
    assert "ended and did not start again" in described()["FailureReason"]
    with pytest.raises(ClientError, match="is Failed and does not serve"):
        odd_service.invoke(odd_endpoint, {"instances": [[1, 2]]}, target="linear.tar.gz")
    with pytest.raises(ClientError, match="in status Failed"):
        odd_service.sagemaker.update_endpoint(EndpointName=odd_endpoint, EndpointConfigName=odd_endpoint)
    odd_service.delete_endpoint(odd_endpoint)
    assert odd_service.containers() == []


def test_the_containers_output_is_in_cloudwatch_logs(service, endpoint, eventually):
    service.invoke(endpoint, {"instances": [[1, 2]]}, target="linear.tar.gz")

    def lines():
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        [stream] = service.logs.describe_log_streams(logGroupName=group)["logStreams"]
        assert stream["logStreamName"].startswith("AllTraffic/i-")
        events = service.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        return [event["message"] for event in events if "loaded" in event["message"]]

    assert eventually(lines)


def test_usage_is_in_cloudwatch(tight_service, tight_endpoint):
    tight_service.invoke(tight_endpoint, {"instances": [[1, 2]]}, target="linear.tar.gz")
    count, _ = tight_service.metric(tight_endpoint, "LoadedModelCount", namespace="/aws/sagemaker/Endpoints")
    assert count >= 1
    count, total = tight_service.metric(tight_endpoint, "DiskUtilization", namespace="/aws/sagemaker/Endpoints")
    assert 0 < total / count <= 100


def test_an_endpoint_has_the_memory_that_its_models_environment_asks_for(service, model_archives):
    bucket, name = service.bucket(), f"small-{uuid.uuid4().hex[:8]}"
    for target in ("a", "b"):
        service.s3.upload_file(str(model_archives["heavy"]), bucket, f"{target}.tar.gz")
    room = {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1500000"}  # for one of them, which has 1 MiB of weights
    service.create_endpoint(name, f"s3://{bucket}/", Environment=room)
    for target in ("a", "b", "a"):
        service.invoke(name, {"instances": [1]}, target=f"{target}.tar.gz")
    assert service.metric(name, "ModelLoadingTime")[0] == 3
    assert service.metric(name, "ModelUnloadingTime")[0] == 2
    assert service.metric(name, "ModelDownloadingTime")[0] == 2
    service.delete_endpoint(name)

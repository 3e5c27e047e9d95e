import io
import tarfile
import uuid
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from botocore.exceptions import ClientError


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
    "a bomb": (packed(("1/zeros", bytes(5 * 1024 * 1024))), "unpacks to more than"),
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


def test_a_killed_container_is_replaced_and_calls_are_served_again(tight_service, tight_endpoint, eventually):
    [container] = tight_service.containers()
    psutil.Process(container).kill()

    def answer():
        try:
            return tight_service.invoke(tight_endpoint, {"instances": [[1, 2]]}, target="linear.tar.gz")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ServiceUnavailable"
            return None

    assert eventually(answer) == {"predictions": [[10, 20]]}
    assert container not in tight_service.containers()


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

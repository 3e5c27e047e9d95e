"""A disk that is full, for good or for a moment: files of the server cannot grow beyond a limit."""

import contextlib

import psutil
import pytest
from botocore.exceptions import ClientError
from clients import Service, eventually, gone

from local_sagemaker import daemon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="the system cannot limit a process"),
]


@contextlib.contextmanager
def limited(service, size):
    """Let no file of a server grow beyond a size."""
    process, unlimited = psutil.Process(service.status.pid), psutil.RLIM_INFINITY
    process.rlimit(psutil.RLIMIT_FSIZE, (size, unlimited))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, (unlimited, unlimited))


@pytest.fixture(scope="module")
def own_service(tmp_path_factory):
    home = tmp_path_factory.mktemp("full")
    yield Service(daemon.start(home))
    daemon.stop(home)


@pytest.fixture
def full_service(own_service):
    with limited(own_service, 2 * 1024 * 1024):
        yield own_service


def test_a_moment_without_room_ends_neither_jobs_nor_what_follows_them(own_service, tmp_path):
    jobs = own_service.jobs
    begin, end, pid = tmp_path / "begin", tmp_path / "end", tmp_path / "pid"
    talking = jobs.start(f"echo ready; until [ -e {end} ]; do echo line; sleep 0.02; done; echo end", until="ready")
    ending = jobs.start(f"echo $$ > {pid}; echo ready; until [ -e {begin} ]; do sleep 0.02; done", until="ready")
    with limited(own_service, 1):
        begin.touch()
        with pytest.raises(ClientError, match="InsufficientStorage"):
            own_service.buckets.create()
        eventually(lambda: gone(int(pid.read_text())))  # a job has ended, and lines of the other were lost
        assert jobs.describe(ending)["TrainingJobStatus"] == "InProgress"
    end.touch()
    jobs.wait(ending)
    assert jobs.wait(talking)["TrainingJobStatus"] == "Completed"
    assert jobs.log(talking)[-1] == "end"


def test_a_full_disk_is_told_and_nothing_is_lost(full_service):
    service = full_service
    bucket = service.buckets.create()
    for _ in range(3):
        service.s3.put_object(Bucket=bucket, Key="x", Body=b"old", Metadata={"m": "1"})
        with pytest.raises(ClientError) as failure:
            service.s3.put_object(Bucket=bucket, Key="x", Body=bytes(3 * 1024 * 1024), Metadata={"m": "2"})
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        assert "cannot be written: File too large. Nothing was changed. Make room" in str(failure.value)
        found = service.s3.get_object(Bucket=bucket, Key="x")
        assert (found["Body"].read(), found["Metadata"]) == (b"old", {"m": "1"})
    with pytest.raises(ClientError, match="InsufficientStorage"):
        service.s3.put_object(Bucket=bucket, Key="new", Body=bytes(3 * 1024 * 1024))
    assert service.buckets.keys(bucket) == ["x"]
    assert len(list((service.status.home / "objects").iterdir())) == 1


def test_a_full_disk_of_records_is_told_and_reads_go_on(full_service):
    service = full_service
    created = 0
    with pytest.raises(ClientError) as failure:
        for created in range(200):
            service.sagemaker.create_model(
                ModelName=f"m{created}",
                ExecutionRoleArn=service.status.role_arn,
                PrimaryContainer={
                    "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-cpu",
                    "ModelDataUrl": "s3://b/models/",
                    "Mode": "MultiModel",
                    "Environment": {f"V{number}": "x" * 1000 for number in range(100)},
                },
            )
    assert failure.value.response["Error"]["Code"] == "InsufficientStorage"
    pages = service.sagemaker.get_paginator("list_models").paginate()
    assert sum(len(page["Models"]) for page in pages) == created
    assert created > 0
    assert service.sagemaker.describe_model(ModelName="m0")["ModelName"] == "m0"

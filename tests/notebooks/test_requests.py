"""Every request of the series, as the kept transcript has it, is one that botocore's service model knows.

`test_series.py` compares the transcript with what a run asks for, and says how to keep a new one.
"""

import re

import pytest
from local_sagemaker import read_transcript

# What AWS bills by the hour; nothing else that the series creates does.
BILLING = {"CreateTrainingJob", "CreateEndpoint"}


@pytest.fixture(scope="module")
def entries(kept_requests):
    return read_transcript(kept_requests)


def test_the_transcript_has_the_whole_series(entries):
    operations = {entry.operation for entry in entries}
    assert operations >= BILLING | {"InvokeEndpoint", "DeleteEndpoint", "GetMetricStatistics", "DeleteObjects"}
    jobs = {entry.parameters["TrainingJobName"] for entry in entries if entry.operation == "CreateTrainingJob"}
    assert {name.rpartition("-")[0] for name in jobs} >= {"cifar", "sign-language"}


def test_every_request_is_valid_for_the_service_model(entries, check_request):
    for entry in entries:
        check_request(entry.service, entry.operation, entry.parameters)


def test_what_is_created_is_deleted(entries):
    operations = {entry.operation for entry in entries}
    created = {operation.removeprefix("Create") for operation in operations if operation.startswith("Create")}
    ends_itself, kept = {"TrainingJob", "MultipartUpload"}, {"Bucket"}
    assert [name for name in created - ends_itself - kept if f"Delete{name}" not in operations] == []


def test_every_training_job_has_an_end_and_stays_below_the_prefix(entries):
    jobs = [entry.parameters for entry in entries if entry.operation == "CreateTrainingJob"]
    for job in jobs:
        assert job["StoppingCondition"]["MaxRuntimeInSeconds"] <= 24 * 3600
        uris = re.findall(r"s3://[^/']+/([^/']+)/", str(job))
        assert set(uris) == {"multi-model-endpoint"}


def test_nothing_of_one_run_or_of_one_machine_is_kept(kept_requests):
    text = kept_requests.read_text(encoding="utf-8")
    assert not re.search(r"/home/|/tmp/|/root/|/Users/|Signature|Credential|LOCAL[0-9A-F]{8}", text)
    assert not re.search(r"20[2-9]\d-\d\d-\d\d", text)

import contextlib
import json
import os
import platform
import socket
import uuid
from importlib.metadata import version
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, WaiterError
from clients import eventually, running

from local_sagemaker import software
from local_sagemaker.settings import Settings

JOBS = Path(__file__).parent / "jobs"


def channel(name, uri, **source):
    source = {"S3DataType": "S3Prefix", "S3Uri": uri} | source
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def instances(count):
    return {"InstanceType": "ml.c5.xlarge", "InstanceCount": count, "VolumeSizeInGB": 1}


def transitions(job):
    return [item["Status"] for item in job["SecondaryStatusTransitions"]]


def model_of(service, job):
    """The files of a job's model, by name."""
    return service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])


@pytest.fixture(scope="module")
def impatient_service(tmp_path_factory):
    """A server of its own that gives stopped jobs hardly any time, and holds a variable that is none of a job's."""
    server = running(tmp_path_factory.mktemp("impatient"), STOP_GRACE_SECONDS=0.2, CHECKPOINT_SECONDS=0.1)
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SECRET_OF_THE_SERVER", "leaked")
            patch.setenv("PYTHONPATH", "/leaked")
            service = stack.enter_context(server)
        yield service


@pytest.fixture(scope="module")
def completed(service):
    """A job that read all it was given and left both archives: its description and its bucket."""
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="data/images/a.txt", Body=b"pixels")
    service.s3.upload_file(str(JOBS / "leave_everything.sh"), bucket, "code/run.sh")
    job = service.jobs.run(
        "exec sh /opt/ml/input/data/code/run.sh",
        bucket=bucket,
        InputDataConfig=[channel("training", f"s3://{bucket}/data/"), channel("code", f"s3://{bucket}/code/")],
        HyperParameters={"epochs": "3", "quoted": "it's"},
        Environment={"WORD": "hello"},
        algorithm={"MetricDefinitions": [{"Name": "loss", "Regex": r"loss=(\S+)"}]},
    )
    return job, bucket


def test_a_job_passes_through_its_statuses_to_its_archives(service, completed):
    job, bucket = completed
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert transitions(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in item for item in job["SecondaryStatusTransitions"])
    assert job["BillableTimeInSeconds"] >= job["TrainingTimeInSeconds"] >= 1
    base = f"jobs/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{base}/model.tar.gz"
    left = [name for name in service.buckets.keys(bucket) if name.startswith("jobs/")]
    assert left == [f"{base}/model.tar.gz", f"{base}/output.tar.gz"]
    assert model_of(service, job) == {"1/saved_model.pb": b"graph\n"}


def test_the_job_finds_its_configuration_and_environment(service, completed):
    job, bucket = completed
    output = service.buckets.unpacked(f"s3://{bucket}/jobs/{job['TrainingJobName']}/output/output.tar.gz")
    assert json.loads(output["hyperparameters.json"]) == {"epochs": "3", "quoted": "it's"}
    assert json.loads(output["resourceconfig.json"])["hosts"] == ["algo-1"]
    assert "training" in json.loads(output["inputdataconfig.json"])
    assert output["word.txt"] == b"hello\n"
    assert output["environment.txt"].decode().split() == [job["TrainingJobName"], "us-east-1"]


def test_its_output_is_in_cloudwatch_logs(service, completed):
    assert service.jobs.log(completed[0]["TrainingJobName"])[:2] == ["pixels", "loss=0.5"]


def test_its_metrics_are_in_cloudwatch_and_the_last_value_in_its_description(service, completed):
    job, _ = completed
    [metric] = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    dimensions = {"TrainingJobName": job["TrainingJobName"]}
    assert service.statistics("/aws/sagemaker/TrainingJobs", "loss", dimensions) == (2, 0.75)


def on_the_disk(service, name):
    settings = Settings(home=service.status.home)
    return [path for path in (settings.jobs / name, settings.temporary / f"job-{name}") if os.path.lexists(path)]


def test_an_expression_that_takes_too_long_is_given_up_and_the_others_go_on(service):
    regexes = {"slow": r"(.*)*x(.*)*y", "loss": r"loss=(\S+)"}
    definitions = [{"Name": name, "Regex": expression} for name, expression in regexes.items()]
    script = "echo loss=1; head -c 5000 /dev/zero | tr '\\0' x; echo; echo loss=2"
    job = service.jobs.run(script, algorithm={"MetricDefinitions": definitions})
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("loss", 2)]
    assert "the Regex of slow took too long" in "".join(service.jobs.log(job["TrainingJobName"]))


def test_nothing_of_a_finished_job_stays_on_the_disk(service, completed):
    assert on_the_disk(service, completed[0]["TrainingJobName"]) == []


BEFORE, DURING = ["Starting", "Downloading"], ["Starting", "Downloading", "Training"]


@pytest.mark.parametrize(
    ("script", "changes", "reason", "passed"),
    [
        ("echo before; echo 'no such class' > /opt/ml/output/failure; touch /opt/ml/model/x; exit 3", {},
         "AlgorithmError: no such class, exit code: 3", DURING),
        ("exit 1", {}, "Its output is in CloudWatch Logs., exit code: 1", DURING),
        ("kill -KILL $$", {}, "exit code: 137", DURING),
        ("", {"algorithm": {"ContainerEntrypoint": ["/no/such/program"]}}, "AlgorithmError", DURING),
        ("true", {"InputDataConfig": [channel("training", "s3://bucket/none/")]},
         "no S3 objects found under S3 URL 's3://bucket/none/'", BEFORE),
        ("touch /opt/ml/model/x", {"bucket": "no-such-bucket"}, "the bucket 'no-such-bucket' does not exist",
         [*DURING, "Uploading"]),
    ],
    ids=["with a reason", "without", "killed", "no entry point", "no data", "no bucket"],
)  # fmt: skip
def test_a_failed_job_tells_its_reason_and_uploads_nothing(service, script, changes, reason, passed):
    job = service.jobs.run(script, **changes)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert transitions(job) == [*passed, "Failed"]
    assert not job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if "bucket" not in changes:
        bucket = job["OutputDataConfig"]["S3OutputPath"].split("/")[2]
        assert service.buckets.keys(bucket) == []


def test_a_stopped_job_gets_the_time_to_save_its_model(service):
    script = "trap 'echo partial > /opt/ml/model/x; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    name = service.jobs.start(script, until="ready")
    service.jobs.stop(name)
    job = service.jobs.wait(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert model_of(service, job) == {"x": b"partial\n"}
    assert transitions(job) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    with pytest.raises(ClientError, match="in status Stopped"):
        service.jobs.stop(name)


def test_a_job_that_ignores_the_stop_is_killed_after_the_grace_time(impatient_service):
    service = impatient_service
    script = "trap '' TERM; echo partial > /opt/ml/model/x; echo ready; while :; do sleep 0.1; done"
    name = service.jobs.start(script, until="ready")
    assert len(on_the_disk(service, name)) == 2
    service.jobs.stop(name)
    job = service.jobs.wait(name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert model_of(service, job) == {"x": b"partial\n"}
    eventually(lambda: on_the_disk(service, name) == [])


def test_a_job_is_stopped_at_its_maximum_run_time(service):
    job = service.jobs.run("sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert transitions(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]


def test_the_log_begins_with_the_software_that_runs_for_the_image(service):
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.3.0-cpu-py37"
    job = service.jobs.run("echo done", algorithm={"TrainingImage": image})
    first, second = service.jobs.log(job["TrainingJobName"], whole=True)
    assert first == software.describe(image)
    for part in (
        version("tensorflow"),
        version("keras"),
        platform.python_version(),
        "tensorflow-training:2.3.0-cpu-py37",
    ):
        assert part in first
    assert second == "done"


def test_an_image_may_be_pinned_by_its_digest(service):
    image = f"763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training@sha256:{'0' * 64}"
    assert service.jobs.run("true", algorithm={"TrainingImage": image})["TrainingJobStatus"] == "Completed"


def test_a_job_that_has_ended_can_be_deleted_and_its_name_used_again(service):
    request = service.jobs.request("sleep 600", bucket=service.buckets.create())
    service.sagemaker.create_training_job(**request)
    name = {"TrainingJobName": request["TrainingJobName"]}
    with pytest.raises(ClientError, match="Only a job that has ended can be deleted"):
        service.sagemaker.delete_training_job(**name)
    service.sagemaker.stop_training_job(**name)
    service.jobs.wait(request["TrainingJobName"])
    assert on_the_disk(service, request["TrainingJobName"]) == []  # the next job of this name has the same folder
    assert service.sagemaker.describe_training_job(**name)["OutputDataConfig"]["KmsKeyId"] == ""
    service.sagemaker.delete_training_job(**name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        service.sagemaker.describe_training_job(**name)
    service.sagemaker.create_training_job(**request)
    service.sagemaker.stop_training_job(**name)
    service.jobs.wait(request["TrainingJobName"])


def test_a_name_that_differs_by_case_alone_is_taken(service, completed):
    name = completed[0]["TrainingJobName"].upper()
    with pytest.raises(ClientError, match="a training job with this name already exists") as refusal:
        service.jobs.start("true", TrainingJobName=name)
    assert refusal.value.response["Error"]["Code"] == "ResourceInUse"


def test_boto3s_waiter_sees_the_end(service):
    waiter = service.sagemaker.get_waiter("training_job_completed_or_stopped")
    patience = {"Delay": 1, "MaxAttempts": 180}
    waiter.wait(TrainingJobName=service.jobs.start("true"), WaiterConfig=patience)
    with pytest.raises(WaiterError, match="terminal failure"):
        waiter.wait(TrainingJobName=service.jobs.start("exit 1"), WaiterConfig=patience)


def run_on_two(service, program, script, **changes):
    """Run a program of this folder on two instances, each with its share of three objects."""
    bucket = service.buckets.create()
    for number in range(3):
        service.s3.put_object(Bucket=bucket, Key=f"data/{number}", Body=b"x")
    service.s3.upload_file(str(JOBS / program), bucket, f"code/{program}")
    shared = channel("shard", f"s3://{bucket}/data/", S3DataDistributionType="ShardedByS3Key")
    data = [shared, channel("code", f"s3://{bucket}/code/")]
    return service.jobs.run(script, bucket=bucket, InputDataConfig=data, ResourceConfig=instances(2), **changes)


def test_two_instances_know_each_other_have_their_shares_and_leave_one_archive(service):
    job = run_on_two(service, "name_yourself.sh", "cd /opt/ml/input/data; sh code/name_yourself.sh; echo $(ls shard)")
    assert set(model_of(service, job)) == {"algo-1", "algo-2"}
    assert sorted(service.jobs.log(job["TrainingJobName"])) == ["0 2", "1", "I am algo-1", "I am algo-2"]


def test_two_instances_exchange_a_message_by_the_names_of_their_hosts(service):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = "exec python /opt/ml/input/data/code/exchange.py"
    job = run_on_two(service, "exchange.py", script, Environment={"MEETING_PORT": str(port)})
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], service.jobs.log(job["TrainingJobName"]))
    assert model_of(service, job) == {"algo-1": b"hello from algo-2", "algo-2": b"sent"}


def test_one_failing_instance_ends_the_job_and_gives_its_reason(service):
    script = (
        "if grep -q 'current_host\": \"algo-2' /opt/ml/input/config/resourceconfig.json; then "
        "echo 'out of luck' > /opt/ml/output/failure; exit 7; fi; sleep 600"
    )
    job = service.jobs.run(script, ResourceConfig=instances(2))
    assert job["FailureReason"] == "AlgorithmError: out of luck, exit code: 7"


def test_checkpoints_go_to_s3_while_the_job_runs_and_come_back(impatient_service):
    service = impatient_service
    bucket = service.buckets.create()
    config = {"S3Uri": f"s3://{bucket}/checkpoints/run"}
    script = "cd /opt/ml/checkpoints; mkdir -p deep; echo 1 > deep/epoch-1; while :; do sleep 0.1; done"
    name = service.jobs.start(script, bucket=bucket, CheckpointConfig=config)
    eventually(lambda: "checkpoints/run/deep/epoch-1" in service.buckets.keys(bucket))
    service.jobs.stop(name)
    service.jobs.wait(name)
    script = "cd /opt/ml/checkpoints; cat deep/epoch-1; echo 2 > epoch-2; exit 1"
    job = service.jobs.run(script, bucket=bucket, CheckpointConfig=config | {"LocalPath": "/opt/ml/checkpoints/"})
    assert service.jobs.log(job["TrainingJobName"]) == ["1"]
    assert service.s3.get_object(Bucket=bucket, Key="checkpoints/run/epoch-2")["Body"].read() == b"2\n"  # though failed


def test_a_job_on_spot_instances_runs_as_any_other_and_says_so(service):
    stopping = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    job = service.jobs.run("true", EnableManagedSpotTraining=True, StoppingCondition=stopping)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["EnableManagedSpotTraining"] is True and job["StoppingCondition"] == stopping
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    assert transitions(job).count("Training") == 1


def waits(spot, **wait):
    return {"EnableManagedSpotTraining": spot, "StoppingCondition": {"MaxRuntimeInSeconds": 60} | wait}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (waits(True), "must be present and be greater than or equal to MaxRuntimeInSeconds"),
        (waits(True, MaxWaitTimeInSeconds=59), "must be present and be greater than or equal to MaxRuntimeInSeconds"),
        (waits(False, MaxWaitTimeInSeconds=60), "only supported when EnableManagedSpotTraining is set to true"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/x"}}, "keeps checkpoints below /opt/ml"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/../x"}}, "keeps checkpoints below /opt/ml"),
        ({"HyperParameters": {f"h{number}": "1" for number in range(101)}}, "length less than or equal to 100"),
        (
            {
                "InputDataConfig": [channel("training", "s3://b/x")],
                "AlgorithmSpecification": {"TrainingImage": "x/tensorflow-training:2", "TrainingInputMode": "Pipe",
                                           "ContainerEntrypoint": ["/bin/true"]},
            },
            "does not support Pipe",
        ),
        (
            {
                "InputDataConfig": [
                    channel("a", "s3://b/x", S3DataType="AugmentedManifestFile", AttributeNames=["source-ref"])
                ]
            },
            "would ignore InputDataConfig.DataSource.S3DataSource.AttributeNames",
        ),
    ],
)  # fmt: skip
def test_what_a_job_cannot_have_is_refused_by_name(service, changes, words):
    with pytest.raises(ClientError, match=words):
        service.jobs.start("true", bucket="b", **changes)


def test_artifacts_without_compression_are_single_files(service):
    bucket = service.buckets.create()
    output = {"S3OutputPath": f"s3://{bucket}/jobs", "CompressionType": "NONE"}
    script = "cd /opt/ml; mkdir model/1; echo graph > model/1/x; echo y > output/data/y"
    job = service.jobs.run(script, bucket=bucket, OutputDataConfig=output)
    base = f"jobs/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{base}/model/"
    assert service.buckets.keys(bucket) == [f"{base}/model/1/x", f"{base}/output/y"]


def test_nothing_of_the_servers_environment_reaches_a_job(impatient_service):
    job = impatient_service.jobs.run("env; ls -A $HOME")
    text = "\n".join(impatient_service.jobs.log(job["TrainingJobName"]))
    assert "leaked" not in text
    assert "LOCAL_SAGEMAKER_STOP_GRACE" not in text
    [home] = [line for line in text.splitlines() if line.startswith("HOME=")]
    assert str(Settings(home=impatient_service.status.home).temporary) in home


def test_jobs_are_listed_by_name_status_and_time(service):
    part = uuid.uuid4().hex[:8]
    for name, script in ((f"b-{part}", "true"), (f"a-{part}", "exit 1")):
        service.jobs.wait(service.jobs.start(script, TrainingJobName=name))

    def listed(**filters):
        found = service.sagemaker.list_training_jobs(NameContains=part, **filters)["TrainingJobSummaries"]
        return "".join(item["TrainingJobName"][0] for item in found)

    assert listed() == "ba"  # the oldest first, unlike the other lists
    assert listed(StatusEquals="Failed") == "a"
    assert listed(SortBy="Status", SortOrder="Descending") == "ab"
    assert listed(CreationTimeAfter=service.jobs.describe(f"b-{part}")["CreationTime"]) == "a"
    pages = service.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=part, PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["TrainingJobSummaries"]) for page in pages) == 2

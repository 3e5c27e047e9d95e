import json
import os
import socket
import time
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, WaiterError

from local_sagemaker import daemon
from local_sagemaker.settings import Settings

JOBS = Path(__file__).parent / "jobs"


def channel(name, uri, **source):
    source = {"S3DataType": "S3Prefix", "S3Uri": uri} | source
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def instances(count):
    return {"InstanceType": "ml.c5.xlarge", "InstanceCount": count, "VolumeSizeInGB": 1}


@pytest.fixture(scope="module")
def impatient_service(tmp_path_factory, connect_service):
    """A server of its own that gives stopped jobs hardly any time, and holds a variable that is none of a job's."""
    home = tmp_path_factory.mktemp("impatient")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_SAGEMAKER_STOP_GRACE_SECONDS", "0.2")
        patch.setenv("LOCAL_SAGEMAKER_CHECKPOINT_SECONDS", "0.1")
        patch.setenv("SECRET_OF_THE_SERVER", "leaked")
        patch.setenv("PYTHONPATH", "/leaked")
        status = daemon.start(home)
    yield connect_service(status)
    daemon.stop(home)


def transitions(job):
    return [item["Status"] for item in job["SecondaryStatusTransitions"]]


@pytest.fixture(scope="module")
def completed(service):
    """A job that read all it was given and left both archives: its description and its bucket."""
    bucket = service.bucket()
    service.s3.put_object(Bucket=bucket, Key="data/images/a.txt", Body=b"pixels")
    service.s3.upload_file(str(JOBS / "leave_everything.sh"), bucket, "code/run.sh")
    job = service.run_job(
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
    left = [name for name in service.object_names(bucket) if name.startswith("jobs/")]
    assert left == [f"{base}/model.tar.gz", f"{base}/output.tar.gz"]
    assert service.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"1/saved_model.pb": b"graph\n"}


def test_the_job_finds_its_configuration_and_environment(service, completed):
    job, bucket = completed
    output = service.unpacked(f"s3://{bucket}/jobs/{job['TrainingJobName']}/output/output.tar.gz")
    assert json.loads(output["hyperparameters.json"]) == {"epochs": "3", "quoted": "it's"}
    assert json.loads(output["resourceconfig.json"])["hosts"] == ["algo-1"]
    assert "training" in json.loads(output["inputdataconfig.json"])
    assert output["word.txt"] == b"hello\n"
    assert output["environment.txt"].decode().split() == [job["TrainingJobName"], "us-east-1"]


def test_its_output_is_in_cloudwatch_logs(service, completed):
    name = completed[0]["TrainingJobName"]
    assert service.job_log(name)[:2] == ["pixels", "loss=0.5"]


def test_its_metrics_are_in_cloudwatch_and_the_last_value_in_its_description(service, completed):
    job, _ = completed
    [metric] = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    dimensions = {"TrainingJobName": job["TrainingJobName"], "Host": "algo-1"}
    assert service.statistics("/aws/sagemaker/TrainingJobs", "loss", dimensions) == (2, 0.75)


def on_the_disk(service, name):
    settings = Settings(home=service.status.home)
    return [path for path in (settings.jobs / name, settings.temporary / f"job-{name}") if os.path.lexists(path)]


def test_nothing_of_a_finished_job_stays_on_the_disk(service, completed, eventually):
    eventually(lambda: on_the_disk(service, completed[0]["TrainingJobName"]) == [])


def test_a_failed_job_tells_its_reason_and_uploads_nothing(service):
    bucket = service.bucket()
    leave = "touch model/x output/data/y; echo 'no such class' > output/failure"
    job = service.run_job(f"echo before; cd /opt/ml; {leave}; exit 3", bucket=bucket)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no such class, exit code: 3"
    assert "ModelArtifacts" not in job or not job["ModelArtifacts"].get("S3ModelArtifacts")
    assert service.object_names(bucket) == []
    assert service.job_log(job["TrainingJobName"]) == ["before"]


def test_a_job_that_says_nothing_of_its_failure_points_to_its_log(service):
    job = service.run_job("exit 1")
    assert "Its output is in CloudWatch Logs" in job["FailureReason"]
    job = service.run_job("kill -KILL $$")
    assert job["FailureReason"].endswith("exit code: 137")


def test_an_entry_point_that_does_not_exist_fails_the_job(service):
    job = service.run_job("", algorithm={"ContainerEntrypoint": ["/no/such/program"]})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError")


def test_a_channel_without_data_fails_the_job_before_it_runs(service):
    bucket = service.bucket()
    job = service.run_job("true", bucket=bucket, InputDataConfig=[channel("training", f"s3://{bucket}/none/")])
    assert job["TrainingJobStatus"] == "Failed"
    assert f"no S3 objects found under S3 URL 's3://{bucket}/none/'" in job["FailureReason"]
    assert transitions(job) == ["Starting", "Downloading", "Failed"]


def test_a_bucket_that_does_not_exist_fails_the_upload(service):
    job = service.run_job("touch /opt/ml/model/x", bucket="no-such-bucket")
    assert job["TrainingJobStatus"] == "Failed"
    assert "the bucket 'no-such-bucket' does not exist" in job["FailureReason"]


def test_a_stopped_job_gets_the_time_to_save_its_model(service, eventually):
    script = "trap 'echo partial > /opt/ml/model/x; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    request = service.job_request(script)
    name = request["TrainingJobName"]
    service.sagemaker.create_training_job(**request)
    eventually(lambda: "ready" in service.job_log(name))
    service.sagemaker.stop_training_job(TrainingJobName=name)
    job = service.wait_job(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert service.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"x": b"partial\n"}
    assert transitions(job) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    with pytest.raises(ClientError, match="in status Stopped"):
        service.sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_that_ignores_the_stop_is_killed_after_the_grace_time(impatient_service, eventually):
    service = impatient_service
    script = "trap '' TERM; echo partial > /opt/ml/model/x; echo ready; while :; do sleep 0.1; done"
    request = service.job_request(script)
    name = request["TrainingJobName"]
    service.sagemaker.create_training_job(**request)
    eventually(lambda: "ready" in service.job_log(name))
    assert len(on_the_disk(service, name)) == 2
    service.sagemaker.stop_training_job(TrainingJobName=name)
    job = service.wait_job(name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert service.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"x": b"partial\n"}
    eventually(lambda: on_the_disk(service, name) == [])


def test_a_job_is_stopped_at_its_maximum_run_time(service):
    job = service.run_job("sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert transitions(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]


def test_a_job_ends_when_its_entry_point_does_whatever_it_left_running(service):
    started = time.monotonic()
    job = service.run_job("sleep 600 & echo $! > /opt/ml/model/pid; exit 0")
    assert job["TrainingJobStatus"] == "Completed"
    assert time.monotonic() - started < 300


def test_two_instances_know_each_other_and_leave_one_archive(service):
    bucket = service.bucket()
    service.s3.upload_file(str(JOBS / "name_yourself.sh"), bucket, "code/run.sh")
    resources = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}
    job = service.run_job(
        "exec sh /opt/ml/input/data/code/run.sh",
        bucket=bucket,
        InputDataConfig=[channel("code", f"s3://{bucket}/code/")],
        ResourceConfig=resources,
    )
    assert set(service.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"algo-1", "algo-2"}
    assert sorted(service.job_log(job["TrainingJobName"])) == ["I am algo-1", "I am algo-2"]


def test_boto3s_waiter_sees_the_end(service):
    request = service.job_request("true")
    service.sagemaker.create_training_job(**request)
    waiter = service.sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=request["TrainingJobName"], WaiterConfig={"Delay": 1, "MaxAttempts": 180})
    request = service.job_request("exit 1")
    service.sagemaker.create_training_job(**request)
    with pytest.raises(WaiterError, match="terminal failure"):
        waiter.wait(TrainingJobName=request["TrainingJobName"], WaiterConfig={"Delay": 1, "MaxAttempts": 180})


def test_two_instances_exchange_a_message_by_the_names_of_their_hosts(service):
    bucket = service.bucket()
    service.s3.upload_file(str(JOBS / "exchange.py"), bucket, "code/exchange.py")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    job = service.run_job(
        "exec python /opt/ml/input/data/code/exchange.py",
        bucket=bucket,
        InputDataConfig=[channel("code", f"s3://{bucket}/code/")],
        ResourceConfig=instances(2),
        Environment={"MEETING_PORT": str(port)},
    )
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], service.job_log(job["TrainingJobName"]))
    left = service.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])
    assert left == {"algo-1": b"hello from algo-2", "algo-2": b"sent"}


def test_sharded_by_key_each_instance_gets_its_share(service):
    bucket = service.bucket()
    for number in range(3):
        service.s3.put_object(Bucket=bucket, Key=f"data/{number}", Body=b"x")
    service.s3.upload_file(str(JOBS / "name_yourself.sh"), bucket, "code/run.sh")
    job = service.run_job(
        "sh /opt/ml/input/data/code/run.sh; echo $(ls /opt/ml/input/data/*)",
        bucket=bucket,
        InputDataConfig=[
            channel("shard", f"s3://{bucket}/data/", S3DataDistributionType="ShardedByS3Key"),
            channel("code", f"s3://{bucket}/code/"),
        ],
        ResourceConfig=instances(2),
    )
    text = " ".join(service.job_log(job["TrainingJobName"]))
    assert "shard: 0 2" in text
    assert "shard: 1" in text


def test_one_failing_instance_ends_the_job_and_gives_its_reason(service):
    script = (
        "if grep -q 'current_host\": \"algo-2' /opt/ml/input/config/resourceconfig.json; then "
        "echo 'out of luck' > /opt/ml/output/failure; exit 7; fi; sleep 600"
    )
    job = service.run_job(script, ResourceConfig=instances(2))
    assert job["FailureReason"] == "AlgorithmError: out of luck, exit code: 7"


def test_checkpoints_go_to_s3_while_the_job_runs_and_come_back(impatient_service, eventually):
    service = impatient_service
    bucket = service.bucket()
    config = {"S3Uri": f"s3://{bucket}/checkpoints/run"}
    script = "cd /opt/ml/checkpoints; mkdir -p deep; echo 1 > deep/epoch-1; while :; do sleep 0.1; done"
    request = service.job_request(script, bucket=bucket, CheckpointConfig=config)
    service.sagemaker.create_training_job(**request)
    eventually(lambda: "checkpoints/run/deep/epoch-1" in service.object_names(bucket))
    service.sagemaker.stop_training_job(TrainingJobName=request["TrainingJobName"])
    service.wait_job(request["TrainingJobName"])
    script = "cd /opt/ml/checkpoints; cat deep/epoch-1; echo 2 > epoch-2; exit 1"
    job = service.run_job(script, bucket=bucket, CheckpointConfig=config | {"LocalPath": "/opt/ml/checkpoints/"})
    assert service.job_log(job["TrainingJobName"]) == ["1"]
    assert service.s3.get_object(Bucket=bucket, Key="checkpoints/run/epoch-2")["Body"].read() == b"2\n"  # though failed


def test_a_job_on_spot_instances_runs_as_any_other_and_says_so(service):
    stopping = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    job = service.run_job("true", EnableManagedSpotTraining=True, StoppingCondition=stopping)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["EnableManagedSpotTraining"] is True and job["StoppingCondition"] == stopping
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    assert [each["Status"] for each in job["SecondaryStatusTransitions"]].count("Training") == 1


@pytest.mark.parametrize(
    ("spot", "wait", "reason"),
    [
        (True, {}, "must be present and be greater than or equal to MaxRuntimeInSeconds"),
        (True, {"MaxWaitTimeInSeconds": 59}, "must be present and be greater than or equal to MaxRuntimeInSeconds"),
        (False, {"MaxWaitTimeInSeconds": 60}, "only supported when EnableManagedSpotTraining is set to true"),
    ],
)
def test_a_wait_for_spot_instances_must_fit(service, spot, wait, reason):
    request = service.job_request(
        "true", EnableManagedSpotTraining=spot, StoppingCondition={"MaxRuntimeInSeconds": 60} | wait
    )
    with pytest.raises(ClientError, match=f"Invalid MaxWaitTimeInSeconds. It .*{reason}"):
        service.sagemaker.create_training_job(**request)


def test_checkpoints_elsewhere_are_refused(service):
    for path in ("/tmp/checkpoints", "/opt/ml/../x"):
        config = {"S3Uri": "s3://b/c", "LocalPath": path}
        with pytest.raises(ClientError, match="keeps checkpoints below /opt/ml"):
            service.sagemaker.create_training_job(**service.job_request("true", CheckpointConfig=config))


def test_artifacts_without_compression_are_single_files(service):
    bucket = service.bucket()
    output = {"S3OutputPath": f"s3://{bucket}/jobs", "CompressionType": "NONE"}
    script = "cd /opt/ml; mkdir model/1; echo graph > model/1/x; echo y > output/data/y"
    job = service.run_job(script, bucket=bucket, OutputDataConfig=output)
    base = f"jobs/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{base}/model/"
    assert service.object_names(bucket) == [f"{base}/model/1/x", f"{base}/output/y"]


def test_nothing_of_the_servers_environment_reaches_a_job(impatient_service):
    job = impatient_service.run_job("env; ls -A $HOME")
    text = "\n".join(impatient_service.job_log(job["TrainingJobName"]))
    assert "leaked" not in text
    assert "LOCAL_SAGEMAKER_STOP_GRACE" not in text
    [home] = [line for line in text.splitlines() if line.startswith("HOME=")]
    assert str(Settings(home=impatient_service.status.home).temporary) in home


def test_pipe_mode_and_manifests_are_refused_by_name(service):
    for named, changes in (
        ("Pipe", {"algorithm": {"TrainingInputMode": "Pipe"}}),
        ("AugmentedManifestFile", {}),
    ):
        source = {"S3DataType": named} if named != "Pipe" else {}
        attributes = {"AttributeNames": ["source-ref"]} if named != "Pipe" else {}
        data = channel("training", "s3://b/x", **source, **attributes)
        with pytest.raises(ClientError, match=f"does not support {named}"):
            service.sagemaker.create_training_job(**service.job_request("true", InputDataConfig=[data], **changes))


def test_jobs_are_listed_by_name_status_and_time(service):
    part = uuid.uuid4().hex[:8]
    for name, script in ((f"b-{part}", "true"), (f"a-{part}", "exit 1")):
        service.sagemaker.create_training_job(**service.job_request(script, TrainingJobName=name))
        service.wait_job(name)

    def listed(**filters):
        found = service.sagemaker.list_training_jobs(NameContains=part, **filters)["TrainingJobSummaries"]
        return [item["TrainingJobName"][0] for item in found]

    assert listed() == ["b", "a"]  # the oldest first, unlike the other lists
    assert listed(StatusEquals="Failed") == ["a"]
    assert listed(SortBy="Name", SortOrder="Ascending") == ["a", "b"]
    assert listed(SortBy="CreationTime", SortOrder="Ascending") == ["b", "a"]
    assert listed(SortBy="Status", SortOrder="Descending") == ["a", "b"]
    first = service.sagemaker.describe_training_job(TrainingJobName=f"b-{part}")["CreationTime"]
    assert listed(CreationTimeAfter=first) == ["a"]
    assert listed(CreationTimeBefore=first) == []
    pages = service.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=part, PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["TrainingJobSummaries"]) for page in pages) == 2

"""The calls that version 2 of the SageMaker Python SDK makes for the original notebook, recorded from 2.257.

It cannot be installed beside version 3, so these are its requests, sent by boto3.
"""

import json
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from clients import packed

SCRIPT = b"""
import argparse, os, subprocess

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model_dir")
arguments = parser.parse_args()
for epoch in range(arguments.epochs):
    print(f"loss: {0.5 / (epoch + 1)}")
archive = os.path.join(os.environ["SM_CHANNEL_TRAIN"], "linear.tar.gz")
subprocess.run(["tar", "-xzf", archive, "-C", os.environ["SM_MODEL_DIR"]], check=True)
"""
# What attach() reads of a job: without one of them it raises KeyError.
READ_BY_ATTACH = [
    "TrainingJobName RoleArn HyperParameters TrainingJobArn StoppingCondition.MaxRuntimeInSeconds",
    "ResourceConfig.InstanceCount ResourceConfig.InstanceType ResourceConfig.VolumeSizeInGB",
    "AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode",
    "OutputDataConfig.S3OutputPath OutputDataConfig.KmsKeyId ModelArtifacts.S3ModelArtifacts",
]


@pytest.fixture(scope="module")
def bucket(service):
    return service.buckets.create()


@pytest.fixture(scope="module")
def fitted(service, bucket, models_bucket):
    """A job as ``TensorFlow(…).fit({"train": …})`` starts it, after its end."""
    name = f"v2-{uuid.uuid4().hex[:8]}"
    source = f"{name}/source/sourcedir.tar.gz"
    service.s3.put_object(Bucket=bucket, Key=source, Body=packed({"train.py": SCRIPT}), ServerSideEncryption="aws:kms")
    parameters = {
        "epochs": 2,
        "sagemaker_submit_directory": f"s3://{bucket}/{source}",
        "sagemaker_program": "train.py",
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": name,
        "sagemaker_region": "us-east-1",
        "model_dir": f"s3://{bucket}/{name}/model",
    }
    data = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{models_bucket}/models/linear.tar.gz"}
    service.sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingInputMode": "File",
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.14-cpu-py310",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss: ([0-9.]+)"}],
            "EnableSageMakerMetricsTimeSeries": True,
        },
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/"},
        StoppingCondition={"MaxRuntimeInSeconds": 86400},
        ResourceConfig={"VolumeSizeInGB": 30, "InstanceCount": 1, "InstanceType": "ml.c5.xlarge"},
        RoleArn=service.status.role_arn,
        InputDataConfig=[
            {
                "DataSource": {"S3DataSource": data | {"S3DataDistributionType": "FullyReplicated"}},
                "ChannelName": "train",
            }
        ],
        HyperParameters={name: json.dumps(value) for name, value in parameters.items()},
        DebugHookConfig={"S3OutputPath": f"s3://{bucket}/", "CollectionConfigurations": []},
        ProfilerConfig={"S3OutputPath": f"s3://{bucket}/", "DisableProfiler": False},
    )
    job = service.jobs.wait(name)
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), service.jobs.log(name))
    return job


def test_fit_follows_the_log(service, fitted):
    group, prefix = "/aws/sagemaker/TrainingJobs", f"{fitted['TrainingJobName']}/"
    streams = service.logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=prefix, orderBy="LogStreamName", limit=1
    )
    [stream] = streams["logStreams"]
    request = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startTime": 0, "startFromHead": True}
    page = service.logs.get_log_events(**request)
    assert "loss: 0.25" in [event["message"] for event in page["events"]]
    assert service.logs.get_log_events(**request, nextToken=page["nextForwardToken"])["events"] == []


def test_attach_finds_what_it_reads(service, fitted):
    for path in " ".join(READ_BY_ATTACH).split():
        value = fitted
        for member in path.split("."):
            value = value[member]
    assert fitted["SecondaryStatusTransitions"][-1]["Status"] == "Completed"
    assert service.sagemaker.list_tags(ResourceArn=fitted["TrainingJobArn"])["Tags"] == []


def test_the_analytics_of_a_job_are_found_by_its_name(service, fitted):
    [point] = service.cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": fitted["TrainingJobName"]}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=7200,
        Statistics=["Average"],
    )["Datapoints"]
    assert point["Average"] == pytest.approx(0.375)


@pytest.mark.slow
def test_a_multi_data_model_from_deploy_to_delete(service, fitted, bucket):
    name, runtime = f"v2-{uuid.uuid4().hex[:8]}", service.runtime
    service.sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=service.status.role_arn,
        PrimaryContainer={
            "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.14-cpu",
            "Environment": {},
            "ModelDataUrl": f"s3://{bucket}/v2/mme/",
            "Mode": "MultiModel",
        },
    )
    variant = {"InitialVariantWeight": 1, "InitialInstanceCount": 1, "InstanceType": "ml.c5.xlarge"}
    service.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": name} | variant]
    )
    service.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=[])
    service.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    trained = fitted["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bucket}/")
    service.s3.head_object(Bucket=bucket, Key=trained)
    for key in ("first.tar.gz", "second/second.tar.gz"):  # add_model
        service.s3.copy_object(CopySource={"Bucket": bucket, "Key": trained}, Bucket=bucket, Key=f"v2/mme/{key}")
    listed = service.s3.list_objects(Bucket=bucket, Prefix="v2/mme/")["Contents"]  # list_models
    assert [item["Key"] for item in listed] == ["v2/mme/first.tar.gz", "v2/mme/second/second.tar.gz"]
    for model in ("first.tar.gz", "/second/second.tar.gz"):  # predict
        response = runtime.invoke_endpoint(
            TargetModel=model,
            EndpointName=name,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps({"instances": [[0.0, 1.0], [1.0, 0.0]]}),
        )
        answer = json.load(response["Body"])
        assert np.argmax(answer) == 0  # as the original post reads it: a dictionary counts as one value
        assert len(answer["predictions"]) == 2
    service.endpoints.delete(name)

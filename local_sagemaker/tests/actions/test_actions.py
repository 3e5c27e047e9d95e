import uuid

import pytest
from botocore.exceptions import ClientError, ParamValidationError

ACCOUNT = "123456789012"
TRAINING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-cpu-py312"
SERVING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-cpu"


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"n-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client(service):
    return service.sagemaker


def refusal(call, **arguments):
    """The message with which a call is refused as not valid."""
    with pytest.raises(ClientError) as failure:
        call(**arguments)
    assert failure.value.response["Error"]["Code"] == "ValidationException"
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return failure.value.response["Error"]["Message"]


def test_a_model_is_created_described_listed_and_deleted(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    described = client.describe_model(ModelName=name)
    assert described["ModelArn"] == f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/{name}"
    assert described["PrimaryContainer"]["Mode"] == "MultiModel"
    assert described["ExecutionRoleArn"] == service.status.role_arn
    [summary] = client.list_models(NameContains=name)["Models"]
    assert summary == {key: described[key] for key in ("ModelName", "ModelArn", "CreationTime")}
    client.delete_model(ModelName=name)
    assert client.list_models(NameContains=name)["Models"] == []
    assert refusal(client.describe_model, ModelName=name) == f'Could not find model "{described["ModelArn"]}".'
    assert "Could not find model" in refusal(client.delete_model, ModelName=name)


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"Image": "me/my-server:1"}, "cannot run the image 'me/my-server:1'. It emulates AWS's tensorflow-inference"),
        ({"Image": TRAINING_IMAGE}, "tensorflow-inference images"),
        ({"Environment": {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "-1"}}, "Set it to a positive number"),
        ({"ModelDataUrl": "s3://bucket/folder", "Mode": "SingleModel"}, "must name a .tar.gz archive"),
        ({"Mode": "Many"}, "enum value set"),
        ({"ModelDataUrl": "ftp://x"}, "regular expression pattern"),
        ({"ModelDataUrl": "https://example.com/models/"}, "is not an S3 URI"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_by_its_cause(service, name, container, words):
    with pytest.raises(ClientError) as failure:
        service.endpoints.create_model(name, container.pop("ModelDataUrl", "s3://b/p/"), **container)
    assert words in failure.value.response["Error"]["Message"]


def test_a_model_of_several_containers_is_refused(client, service, name):
    containers = [{"Image": "i", "ModelDataUrl": "s3://b/m.tar.gz"}] * 2
    message = refusal(
        client.create_model, ModelName=name, ExecutionRoleArn=service.status.role_arn, Containers=containers
    )
    assert "exactly one container" in message


def test_an_endpoint_configuration_is_created_described_listed_and_deleted(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    service.endpoints.create_config(name, InitialInstanceCount=2)
    described = client.describe_endpoint_config(EndpointConfigName=name)
    assert described["EndpointConfigArn"].endswith(f":endpoint-config/{name}")
    assert described["ProductionVariants"][0]["InitialInstanceCount"] == 2
    assert [item["EndpointConfigName"] for item in client.list_endpoint_configs(NameContains=name)["EndpointConfigs"]]
    client.delete_endpoint_config(EndpointConfigName=name)
    assert "Could not find endpoint configuration" in refusal(client.describe_endpoint_config, EndpointConfigName=name)


def test_the_vpc_and_the_keys_of_a_request_are_recorded_and_both_halves_of_a_vpc_are_asked_for(service, client, name):
    vpc = {"Subnets": ["subnet-0a"], "SecurityGroupIds": ["sg-0b"]}
    container = {"Image": SERVING_IMAGE, "ModelDataUrl": "s3://bucket/models/", "Mode": "MultiModel"}
    model = {"ModelName": name, "ExecutionRoleArn": service.status.role_arn, "PrimaryContainer": container}
    client.create_model(**model, VpcConfig=vpc)
    assert client.describe_model(ModelName=name)["VpcConfig"] == vpc
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], KmsKeyId="alias/ours")
    assert client.describe_endpoint_config(EndpointConfigName=name)["KmsKeyId"] == "alias/ours"
    job = service.jobs.request("true", VpcConfig=vpc)
    job["ResourceConfig"]["VolumeKmsKeyId"] = job["OutputDataConfig"]["KmsKeyId"] = "1234"
    client.create_training_job(**job)
    described = client.describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert described["VpcConfig"] == vpc
    assert described["ResourceConfig"]["VolumeKmsKeyId"] == described["OutputDataConfig"]["KmsKeyId"] == "1234"
    with pytest.raises(ParamValidationError, match='Missing required parameter in VpcConfig: "SecurityGroupIds"'):
        client.create_model(**model, VpcConfig={"Subnets": ["subnet-0a"]})
    assert "regular expression" in refusal(client.create_model, **model, VpcConfig=vpc | {"Subnets": ["no subnet"]})


def test_an_endpoint_configuration_needs_its_model(service, name):
    with pytest.raises(ClientError, match="Could not find model"):
        service.endpoints.create_config(name)


def test_serverless_inference_is_named_as_unsupported(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    variant = {"VariantName": "a", "ModelName": name, "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    message = refusal(client.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[variant])
    assert "would ignore ProductionVariants.ServerlessConfig" in message


def test_an_endpoint_needs_its_configuration(client, name):
    message = refusal(client.create_endpoint, EndpointName=name, EndpointConfigName=name)
    assert message.startswith("Could not find endpoint configuration")
    assert "Could not find endpoint " in refusal(client.describe_endpoint, EndpointName=name)
    assert "Could not find endpoint " in refusal(client.delete_endpoint, EndpointName=name)


def test_lists_come_in_pages(service, client, name):
    created = [f"{name}-{number}" for number in range(5)]
    for each in created:
        service.endpoints.create_model(each, "s3://bucket/models/")
    pages = list(client.get_paginator("list_models").paginate(NameContains=name, PaginationConfig={"PageSize": 2}))
    assert [len(page["Models"]) for page in pages] == [2, 2, 1]
    assert sorted(item["ModelName"] for page in pages for item in page["Models"]) == created


def test_tags_are_kept_merged_and_removed(service, client, name):
    client.create_model(
        ModelName=name,
        ExecutionRoleArn=service.status.role_arn,
        PrimaryContainer={"Image": "x/tensorflow-inference:2.20", "ModelDataUrl": "s3://b/", "Mode": "MultiModel"},
        Tags=[{"Key": "a", "Value": "1"}],
    )
    arn = client.describe_model(ModelName=name)["ModelArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"a": "2", "b": "3"}
    client.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}]
    client.delete_model(ModelName=name)
    assert client.list_tags(ResourceArn=arn)["Tags"] == []
    assert "Could not find resource" in refusal(client.add_tags, ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])


def test_names_that_differ_by_case_share_their_arn_and_are_refused(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        service.endpoints.create_model(name.upper(), "s3://bucket/models/")
    service.endpoints.create_config(name, ModelName=name)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        service.endpoints.create_config(name)


def test_a_region_has_its_own_resources(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    arn = client.describe_model(ModelName=name)["ModelArn"]
    elsewhere = service.client("sagemaker", region="eu-west-1")
    assert "Could not find model" in refusal(elsewhere.describe_model, ModelName=name)
    assert "Could not find model" in refusal(elsewhere.delete_model, ModelName=name)
    assert "Could not find resource" in refusal(elsewhere.add_tags, ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert elsewhere.list_models(NameContains=name)["Models"] == []
    request = {"ExecutionRoleArn": service.status.role_arn, "PrimaryContainer": {"Image": SERVING_IMAGE}}
    request["PrimaryContainer"]["ModelDataUrl"] = "s3://bucket/model.tar.gz"
    assert f"and there is {arn}" in refusal(elsewhere.create_model, ModelName=name, **request)
    assert client.describe_model(ModelName=name)["ModelArn"] == arn


def test_a_resource_has_at_most_fifty_tags_and_is_not_created_with_more(service, client, name):
    tags = [{"Key": f"key-{number}", "Value": "x"} for number in range(50)]
    service.endpoints.create_model(name, "s3://bucket/models/")
    arn = client.describe_model(ModelName=name)["ModelArn"]
    client.add_tags(ResourceArn=arn, Tags=tags)
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn, PaginationConfig={"PageSize": 50})
    assert sorted(tag["Key"] for page in pages for tag in page["Tags"]) == sorted(tag["Key"] for tag in tags)
    assert "at most 50 tags" in refusal(client.add_tags, ResourceArn=arn, Tags=[{"Key": "more", "Value": "x"}])
    assert len(client.list_tags(ResourceArn=arn)["Tags"]) == 50


def test_variants_of_one_name_are_refused(service, client, name):
    service.endpoints.create_model(name, "s3://bucket/models/")
    variant = {"VariantName": "a", "ModelName": name, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    message = refusal(client.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[variant, variant])
    assert "must be unique" in message


def test_bad_names_are_refused_by_the_service_not_only_by_boto3(service):
    client = service.client("sagemaker", parameter_validation=False)
    assert "Missing required parameter" in refusal(client.create_model)
    message = refusal(client.describe_model, ModelName="under_score")
    assert "Value 'under_score' at 'ModelName' failed to satisfy constraint" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": {"TrainingImage": "me/train:1"}}, "cannot run the image 'me/train:1'"),
        ({"algorithm": {"ContainerEntrypoint": None}}, "Give AlgorithmSpecification.ContainerEntrypoint"),
        ({"algorithm": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=("}]}}, "Regex of metric 'loss'"),
        ({"algorithm": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss"}]}}, "no group ( ) for the value"),
        ({"AlgorithmSpecification": None}, "Give AlgorithmSpecification"),
        ({"ResourceConfig": None}, "Give ResourceConfig"),
        ({"ResourceConfig": {"VolumeSizeInGB": 1}}, "Give InstanceType"),
        ({"StoppingCondition": None}, "Give StoppingCondition"),
        ({"OutputDataConfig": {"S3OutputPath": "https://bucket/jobs"}}, "must start with s3://"),
        (
            {
                "InputDataConfig": [
                    {
                        "ChannelName": "training",
                        "DataSource": {
                            "FileSystemDataSource": {
                                "FileSystemId": "fs-12345678901",
                                "FileSystemAccessMode": "ro",
                                "FileSystemType": "EFS",
                                "DirectoryPath": "/data",
                            }
                        },
                    }
                ]
            },
            "would ignore InputDataConfig.DataSource.FileSystemDataSource",
        ),
    ],
)
def test_a_training_job_that_cannot_run_is_refused_by_its_cause(service, client, changes, words):
    request = service.jobs.request("true", bucket="b", **changes)
    if "AlgorithmSpecification" in request:
        algorithm = request["AlgorithmSpecification"]
        request["AlgorithmSpecification"] = {key: value for key, value in algorithm.items() if value is not None}
    assert words in refusal(client.create_training_job, **request)
    with pytest.raises(ClientError, match="Requested resource not found"):
        client.describe_training_job(TrainingJobName=request["TrainingJobName"])

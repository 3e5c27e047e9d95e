import io
import os
import uuid
from functools import partial
from types import SimpleNamespace

import boto3
import numpy as np
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image

from helpers import endpoint, s3, session
from helpers.aws.endpoint_metrics import METRICS
from helpers.aws.invocation import EndpointError

BRIGHT = np.full((2, 4, 4, 3), 255, dtype=np.uint8)


@pytest.fixture(scope="module")
def deployed(connection, classifiers):
    """An endpoint as notebook 04 deploys it, with the model "dense"."""
    s3.upload(connection, classifiers["dense"], f"{connection.models_uri}dense.tar.gz")
    name = f"series-{uuid.uuid4().hex[:8]}"
    found = endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    yield found
    found.delete()


def jpeg(value, size=(30, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value,) * 3).save(buffer, "jpeg")
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.aws
def test_deploying_again_finds_the_same_endpoint(connection, deployed):
    again = endpoint.deploy(connection, deployed.name, models_uri=deployed.models_uri, instance_type="ml.c5.xlarge")
    assert again.describe()["CreationTime"] == deployed.describe()["CreationTime"]
    assert endpoint.attach(connection, deployed.name, models_uri=deployed.models_uri).name == deployed.name
    assert deployed.describe_container()["Mode"] == "MultiModel"


@pytest.mark.slow
def test_deploying_afresh_starts_without_loaded_models_and_passes_the_environment_on(connection, classifiers):
    name, models_uri = "afresh", f"{connection.base_uri}afresh/"
    s3.upload(connection, classifiers["dense"], models_uri + "a.tar.gz")
    environment = {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1000"}
    options = {"models_uri": models_uri, "instance_type": "ml.c5.xlarge", "environment": environment}
    created = []
    for _ in range(2):
        found = endpoint.deploy(connection, name, fresh=True, **options)
        created.append(found.describe()["CreationTime"])
    assert created[0] < created[1]
    assert found.describe_container()["Environment"] == environment
    found.delete()


@pytest.mark.slow
@pytest.mark.aws
def test_a_colleagues_endpoint_of_the_same_name_is_not_taken_for_ones_own(connection, deployed):
    mine = f"{connection.base_uri}mine/"
    for take in (endpoint.attach, partial(endpoint.deploy, instance_type="ml.c5.xlarge")):
        with pytest.raises(EndpointError, match=f"serves {deployed.models_uri}, not {mine}. .* choose another name"):
            take(connection, deployed.name, models_uri=mine)
    assert endpoint.find(connection, deployed.name) == "InService"


@pytest.mark.aws
def test_pixels_and_files_are_predicted(deployed):
    pixels = deployed.predict(BRIGHT, target_model="dense.tar.gz")
    assert pixels.labels == ["bright", "bright"]
    assert pixels.probabilities.shape == (2, 2)
    assert pixels.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert pixels.seconds > 0
    files = deployed.predict([jpeg(0), jpeg(255, (7, 9))], target_model="dense.tar.gz")
    assert files.labels == ["dark", "bright"]


@pytest.mark.aws
def test_calls_are_timed(deployed):
    seconds = deployed.time_calls(BRIGHT, target_model="dense.tar.gz", count=3)
    assert len(seconds) == 3
    assert min(seconds) > 0


@pytest.mark.aws
def test_a_model_is_added_once_from_a_file_and_from_s3(connection, deployed, classifiers):
    uri = deployed.add_model(classifiers["convolution"], target_model="convolution.tar.gz")
    assert uri == f"{connection.models_uri}convolution.tar.gz"
    deployed.add_model(uri, target_model="copy.tar.gz")
    assert set(deployed.list_models()) == {"dense.tar.gz", "convolution.tar.gz", "copy.tar.gz"}
    for target in ("convolution.tar.gz", "copy.tar.gz"):
        assert deployed.predict(np.full((1, 8, 8, 3), 255), target_model=target).labels == ["bright"]
    with pytest.raises(EndpointError, match=r"dense.tar.gz exists, .* Publish under a new name"):
        deployed.add_model(classifiers["dense"], target_model="dense.tar.gz")
    with pytest.raises(EndpointError, match=r"'dense.zip' must end in .tar.gz"):
        deployed.add_model(classifiers["dense"], target_model="dense.zip")


@pytest.mark.parametrize(
    "name", ["modèle", "模型", "a b", "a\n", "/a", "a//b", "../a", "a/../b", ".a", "a?", "a#b", "a%20", "x" * 1100, ""]
)
def test_a_target_model_that_no_call_could_name_is_refused(deployed, classifiers, name):
    with pytest.raises(EndpointError, match="could not be called: its name travels in a header"):
        deployed.add_model(classifiers["dense"], target_model=f"{name}.tar.gz")
    assert f"{name}.tar.gz" not in deployed.list_models()


@pytest.mark.parametrize("name", ["a", "A-1_b.v2", "team/a+b=c@d", "v1.0/x"])
def test_a_target_model_that_is_taken_can_be_called(deployed, classifiers, name):
    deployed.add_model(classifiers["dense"], target_model=f"{name}.tar.gz")
    assert deployed.predict(BRIGHT, target_model=f"{name}.tar.gz").labels == ["bright", "bright"]
    deployed.remove_model(f"{name}.tar.gz")


def test_a_first_call_is_a_miss_whoever_called_the_model_before(deployed):
    before = deployed.list_models()
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    hits, calls = (deployed.metrics.total("ModelCacheHit")[key] for key in ("Sum", "SampleCount"))
    assert deployed.time_first_call(BRIGHT, target_model="dense.tar.gz") > 0
    after = deployed.metrics.total("ModelCacheHit")
    assert (after["Sum"], after["SampleCount"]) == (hits, calls + 1)
    assert deployed.list_models() == before


def test_a_new_version_has_a_name_that_is_not_taken(deployed):
    assert deployed.new_version("dense") == "dense-v2.tar.gz"
    deployed.add_model(deployed.models_uri + "dense.tar.gz", target_model="dense-v2.tar.gz")
    assert deployed.new_version("dense") == "dense-v3.tar.gz"
    deployed.remove_model("dense-v2.tar.gz")


@pytest.mark.aws
def test_an_unknown_model_is_answered_with_the_known_ones(deployed):
    with pytest.raises(EndpointError, match=r"no model none.tar.gz below .* Published: .*dense.tar.gz.*add_model"):
        deployed.predict(BRIGHT, target_model="none.tar.gz")


def test_images_the_model_refuses_are_an_error_that_names_them(deployed):
    words = r"dense.tar.gz refused the request: image 1 \(of 3, counted from 0\) is a GIF file; "
    with pytest.raises(EndpointError, match=words):
        deployed.predict([jpeg(0), b"GIF89a", jpeg(9)], target_model="dense.tar.gz")


def test_metrics_tell_what_happened(deployed):
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    before = deployed.metrics.total("ModelCacheHit")
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    after = deployed.metrics.total("ModelCacheHit")
    assert (after["SampleCount"] - before["SampleCount"], after["Sum"] - before["Sum"]) == (1, 1)
    latency = deployed.metrics.total("ModelLatency")
    assert 0 < latency["Minimum"] <= latency["Average"] <= latency["Maximum"]
    assert all(isinstance(deployed.metrics.total(name), dict) for name in METRICS)


@pytest.mark.aws
def test_an_endpoint_that_does_not_exist_names_the_notebook(connection):
    with pytest.raises(EndpointError, match=r"nobody does not exist. Run 04_deploy_multi_model_endpoint first"):
        endpoint.attach(connection, "nobody", models_uri=connection.models_uri)
    assert endpoint.find(connection, "nobody") is None


OPERATIONS = ("DescribeModel", "DescribeEndpointConfig", "CreateEndpoint", "DescribeEndpoint")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "error"),
    [*((operation, KeyboardInterrupt) for operation in OPERATIONS), ("CreateEndpoint", ConnectionError)],
)
def test_a_deployment_that_is_interrupted_or_fails_at_any_step_leaves_nothing(
    connection, monkeypatch, operation, error
):
    """The step has just been done when the error comes: its answer is lost."""
    name, call, asked = f"broken-{uuid.uuid4().hex[:8]}", BaseClient._make_api_call, []

    def make_api_call(self, called, parameters):
        answer = call(self, called, parameters)
        asked.append(called)
        if called == operation and asked.count(operation) == 1:
            raise error
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    with pytest.raises(error):
        endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    client = connection.boto.client("sagemaker")
    assert endpoint.find(connection, name) is None
    assert client.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
    assert client.list_models(NameContains=name)["Models"] == []


def client_that_answers(answer):
    """A client of boto3 whose calls a function answers, given operation and parameters."""
    client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    client._make_api_call = answer
    return SimpleNamespace(boto=SimpleNamespace(client=lambda _: client), poll_seconds=0.001)


def test_an_endpoint_is_waited_for_until_it_is_in_service_or_fails():
    left = ["Creating", "InService", "Creating", "Failed"]

    def answer(operation, parameters):
        return {"EndpointStatus": left.pop(0), "FailureReason": "no capacity"}

    endpoint._wait(client_that_answers(answer), "endpoint_in_service", "mine")
    assert left == ["Creating", "Failed"]
    with pytest.raises(EndpointError, match="The endpoint mine failed: no capacity"):
        endpoint._wait(client_that_answers(answer), "endpoint_in_service", "mine")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["Creating", "InService", None], ["Creating", "InService", "delete", None]),
        (["Deleting", "Deleting", None], ["Deleting", "Deleting", None]),
        ([None], [None]),
    ],
)
def test_an_endpoint_is_waited_for_until_it_can_be_deleted_and_until_it_is_gone(states, expected):
    left, calls = list(states), []

    def answer(operation, parameters):
        if operation == "DeleteEndpoint":
            calls.append("delete")
            return {}
        calls.append(left.pop(0))
        if calls[-1] is None:
            error = {"Code": "ValidationException", "Message": "Could not find endpoint"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)
        return {"EndpointStatus": calls[-1]}

    endpoint.delete_endpoint(client_that_answers(answer), "left")
    assert calls == expected


def test_other_errors_are_not_taken_for_absence():
    def describe_endpoint(EndpointName):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "DescribeEndpoint")

    boto = SimpleNamespace(client=lambda _: SimpleNamespace(describe_endpoint=describe_endpoint))
    with pytest.raises(ClientError, match="not authorized"):
        endpoint.find(SimpleNamespace(boto=boto), "mine")


def test_a_deployment_that_fails_deletes_nothing_that_was_there_before(connection, monkeypatch):
    client = connection.boto.client("sagemaker")
    name = f"series-{uuid.uuid4().hex[:8]}"
    container = {"Image": connection.image("inference", "ml.c5.xlarge"), "ModelDataUrl": "s3://somewhere/a.tar.gz"}
    client.create_model(ModelName=name, ExecutionRoleArn=connection.role_arn, PrimaryContainer=container)
    with pytest.raises(ClientError, match="already existing model"):
        endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    call = BaseClient._make_api_call

    def make_api_call(self, operation, parameters):
        if operation == "CreateModel":
            raise ConnectionError
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    with pytest.raises(ConnectionError):
        endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    assert client.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"] == "s3://somewhere/a.tar.gz"
    client.delete_model(ModelName=name)


def test_an_image_that_the_target_cannot_run_is_named_and_leaves_nothing(connection):
    name = f"foreign-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ClientError, match="cannot run the image 'me/mine:1'"):
        endpoint.deploy(
            connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge", image="me/mine:1"
        )
    assert endpoint.find(connection, name) is None


@pytest.mark.aws
def test_deleting_twice_is_no_error(connection):
    gone = endpoint.MultiModelEndpoint(connection, "never-was", models_uri=connection.models_uri)
    gone.delete()


@pytest.fixture
def slow(connection, classifiers, tmp_path, monkeypatch):
    """An endpoint whose container takes longer to load a model than SageMaker waits with the answer to a call."""
    home = tmp_path / "home"
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(home))
    monkeypatch.setenv("LOCAL_SAGEMAKER_COLD_START_SECONDS", "0.05")
    monkeypatch.setattr(session, "_connected_to", None)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)  # and what connecting sets is undone with it
    with session.running("local"):
        place = session.connect("local", prefix="slow")
        for name in ("a", "b"):
            s3.upload(place, classifiers["dense"], f"{place.models_uri}{name}.tar.gz")
        yield endpoint.deploy(place, "slow", models_uri=place.models_uri, instance_type="ml.c5.xlarge")


@pytest.mark.slow
def test_a_model_that_loads_slowly_is_waited_for_and_by_boto3_alone_it_is_not(slow, monkeypatch):
    monkeypatch.setattr(endpoint.invocation, "_SECONDS_BETWEEN_CALLS", 0.1)
    call = {"EndpointName": "slow", "ContentType": "application/json", "TargetModel": "a.tar.gz"}
    body = endpoint.invocation.request_body(BRIGHT)
    boto = slow.connection.boto.client("sagemaker-runtime", config=Config(retries={"mode": "standard"}))
    with pytest.raises(boto.exceptions.ModelNotReadyException) as refused:
        boto.invoke_endpoint(**call, Body=body)
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert slow.predict(BRIGHT, target_model="a.tar.gz").labels == ["bright", "bright"]
    boto.invoke_endpoint(**call, Body=body)
    old = slow.connection.boto.client("sagemaker-runtime", config=Config(retries={"mode": "legacy"}))
    answer = old.invoke_endpoint(**call | {"TargetModel": "b.tar.gz"}, Body=body)
    assert answer["ResponseMetadata"]["RetryAttempts"] >= 1

import io
import uuid
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from helpers import endpoint, s3
from helpers.aws.endpoint_metrics import METRICS
from helpers.endpoint import EndpointError

BRIGHT = np.full((2, 4, 4, 3), 255, dtype=np.uint8)


@pytest.fixture(scope="module")
def deployed(connection, classifiers):
    """An endpoint as notebook 04 deploys it, with the model "dense"."""
    s3.upload_file(connection, classifiers["dense"], f"{connection.models_uri}dense.tar.gz")
    name = f"series-{uuid.uuid4().hex[:8]}"
    found = endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    yield found
    found.delete()


def jpeg(value, size=(30, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value,) * 3).save(buffer, "jpeg")
    return buffer.getvalue()


@pytest.mark.aws
def test_deploying_again_finds_the_same_endpoint(connection, deployed):
    again = endpoint.deploy(connection, deployed.name, models_uri=deployed.models_uri, instance_type="ml.c5.xlarge")
    assert again.describe()["CreationTime"] == deployed.describe()["CreationTime"]
    assert endpoint.attach(connection, deployed.name, models_uri=deployed.models_uri).name == deployed.name
    assert deployed.describe_container()["Mode"] == "MultiModel"


def test_deploying_afresh_starts_without_loaded_models(connection, classifiers):
    name, models_uri = "afresh", f"{connection.base_uri}afresh/"
    s3.upload_file(connection, classifiers["dense"], models_uri + "a.tar.gz")
    options = {"models_uri": models_uri, "instance_type": "ml.c5.xlarge"}
    created = []
    for _ in range(2):
        found = endpoint.deploy(connection, name, fresh=True, **options)
        created.append(found.describe()["CreationTime"])
    assert created[0] < created[1]
    found.delete()


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
    hits, calls = (deployed.metric("ModelCacheHit")[key] for key in ("Sum", "SampleCount"))
    assert deployed.time_first_call(BRIGHT, target_model="dense.tar.gz") > 0
    after = deployed.metric("ModelCacheHit")
    assert (after["Sum"], after["SampleCount"]) == (hits, calls + 1)
    assert deployed.list_models() == before


def test_a_new_version_has_a_name_that_is_not_taken(deployed):
    assert deployed.new_version("dense") == "dense-v2.tar.gz"
    deployed.add_model(deployed.models_uri + "dense.tar.gz", target_model="dense-v2.tar.gz")
    assert deployed.new_version("dense") == "dense-v3.tar.gz"
    deployed.remove_model("dense-v2.tar.gz")


def test_metrics_are_shown_in_units_that_people_use(deployed):
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    found = deployed.metrics("ModelLoadingTime", "ModelCacheHit")
    milliseconds = deployed.metric("ModelLoadingTime")["Average"] / 1000
    assert found["ModelLoadingTime"]["average"] == pytest.approx(milliseconds)
    assert found["ModelLoadingTime"]["unit"] == "ms"
    assert 0 <= found["ModelCacheHit"]["average"] <= 1
    assert endpoint.readable("ModelCacheHit", {}) == {}


@pytest.mark.aws
def test_an_unknown_model_is_answered_with_the_known_ones(deployed):
    with pytest.raises(EndpointError, match=r"no model none.tar.gz below .* Published: .*dense.tar.gz.*add_model"):
        deployed.predict(BRIGHT, target_model="none.tar.gz")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 5, 5, 3)), "has shape"),
        ([b"no image"], "not an image"),
        (
            [jpeg(0), b"GIF89a", jpeg(9)],
            r"image 1 \(of 3, counted from 0\) is a GIF file; models read JPEG and PNG files\.$",
        ),
    ],
)
def test_images_the_model_refuses_are_an_error_with_its_words(deployed, images, words):
    with pytest.raises(EndpointError, match=f"dense.tar.gz refused the request: .*{words}"):
        deployed.predict(images, target_model="dense.tar.gz")


def test_metrics_tell_what_happened(deployed):
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    before = deployed.metric("ModelCacheHit")
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    after = deployed.metric("ModelCacheHit")
    assert (after["SampleCount"] - before["SampleCount"], after["Sum"] - before["Sum"]) == (1, 1)
    latency = deployed.metric("ModelLatency")
    assert 0 < latency["Minimum"] <= latency["Average"] <= latency["Maximum"]
    assert all(isinstance(deployed.metric(name), dict) for name in METRICS)


def test_the_loaded_models_are_counted(deployed):
    since = datetime.now(UTC)
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    assert deployed.loaded_models(since=since) >= 1


def test_a_metric_is_read_over_time(deployed):
    since = datetime.now(UTC)
    deployed.predict(BRIGHT, target_model="dense.tar.gz")
    points = deployed.metric_over_time("ModelCacheHit", since=since)
    assert points and all(-1 <= seconds <= 60 and 0 <= average <= 1 for seconds, average in points)
    assert points == sorted(points)


def test_a_removed_model_is_no_longer_listed_and_its_neighbours_are(deployed, connection):
    for name in ("gone.tar.gz", "gone-not.tar.gz"):
        deployed.add_model(f"{connection.models_uri}dense.tar.gz", target_model=name)
    deployed.remove_model("gone.tar.gz")
    assert "gone.tar.gz" not in deployed.list_models()
    assert "gone-not.tar.gz" in deployed.list_models()
    deployed.remove_model("gone-not.tar.gz")


def test_the_environment_of_the_container_is_passed_on(connection):
    name = f"series-{uuid.uuid4().hex[:8]}"
    small = endpoint.deploy(
        connection,
        name,
        models_uri=f"{connection.base_uri}none/",
        instance_type="ml.c5.xlarge",
        environment={"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1000"},
    )
    try:
        assert small.describe_container()["Environment"] == {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1000"}
    finally:
        small.delete()


@pytest.mark.aws
def test_an_endpoint_that_does_not_exist_names_the_notebook(connection):
    with pytest.raises(EndpointError, match=r"nobody does not exist. Run 04_deploy_multi_model_endpoint first"):
        endpoint.attach(connection, "nobody", models_uri=connection.models_uri)
    assert endpoint.find(connection, "nobody") is None


def test_a_deployment_that_fails_leaves_nothing(connection, monkeypatch):
    name = f"broken-{uuid.uuid4().hex[:8]}"

    def fail(*arguments):
        raise EndpointError("no capacity")

    monkeypatch.setattr(endpoint, "wait_in_service", fail)
    with pytest.raises(EndpointError, match="no capacity"):
        endpoint.deploy(connection, name, models_uri=connection.models_uri, instance_type="ml.c5.xlarge")
    client = connection.boto.client("sagemaker")
    assert endpoint.find(connection, name) is None
    assert client.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
    assert client.list_models(NameContains=name)["Models"] == []


def test_a_deployment_that_fails_deletes_nothing_that_was_there_before(connection):
    client = connection.boto.client("sagemaker")
    name = f"series-{uuid.uuid4().hex[:8]}"
    container = {"Image": connection.image("inference", "ml.c5.xlarge"), "ModelDataUrl": "s3://somewhere/a.tar.gz"}
    client.create_model(ModelName=name, ExecutionRoleArn=connection.role_arn, PrimaryContainer=container)
    with pytest.raises(ClientError, match="already existing model"):
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

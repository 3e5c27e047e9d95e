import base64
import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from botocore.exceptions import ClientError
from clients import eventually
from PIL import Image

from local_sagemaker.archives import pack
from local_sagemaker.settings import MEBIBYTE


def refused(service, endpoint, document, **options):
    """The error with which a call is refused."""
    with pytest.raises(ClientError) as failure:
        service.endpoints.invoke(endpoint, document, **options)
    return failure.value.response


def png(value):
    """A square PNG image of one brightness, larger than the models' own size."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(buffer, "png")
    return {"b64": base64.b64encode(buffer.getvalue()).decode()}


def test_pixels_and_encoded_files_of_any_size_are_classified_alike(service, endpoint):
    pixels = [np.full((4, 4, 3), value).tolist() for value in (0, 255)]
    rows = service.endpoints.invoke(endpoint, {"instances": pixels}, target="dense.tar.gz")["predictions"]
    files = {"signature_name": "serving_bytes", "instances": [png(0), png(255)]}
    assert [row["label"] for row in rows] == ["dark", "bright"]
    assert service.endpoints.invoke(endpoint, files, target="dense.tar.gz")["predictions"] == rows


def test_the_answer_names_its_variant_and_type(service, endpoint):
    response = service.runtime.invoke_endpoint(
        EndpointName=endpoint,
        TargetModel="linear.tar.gz",
        TargetVariant="AllTraffic",
        ContentType="application/json",
        Body=b'{"inputs": [[1, 2]]}',
    )
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert response["ContentType"] == "application/json"
    assert json.load(response["Body"]) == {"outputs": [[10, 20]]}


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"instances": [[1, 2], [3]]}, 400, "Expecting tensor size: 2 but got: 1"),
        ({"instances": [["a", "b"]]}, 400, "is not of expected type: float"),
        (b"PNG", 400, "JSON Parse error"),
    ],
)
def test_a_request_the_model_refuses_is_a_model_error_with_the_models_words(service, endpoint, document, status, words):
    response = refused(service, endpoint, document, target="linear.tar.gz")
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert words in response["OriginalMessage"]
    assert response["Error"]["Message"].startswith(f"Received client error ({status}) from primary with message")


def test_an_unsupported_media_type_is_a_model_error(service, endpoint):
    response = refused(service, endpoint, b"1,2", target="linear.tar.gz", ContentType="image/png")
    assert response["OriginalStatusCode"] == 415
    assert "Unsupported Media Type: image/png" in response["OriginalMessage"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("none.tar.gz", "Failed to download model data"),
        ("", "must name its model in TargetModel"),
        ("../models/linear.tar.gz", "leaves the endpoint's S3 prefix"),
        ("a/../../secret.tar.gz", "leaves the endpoint's S3 prefix"),
        ("//linear.tar.gz", "no valid name"),
        ("x" * 1025, "no valid name"),
    ],
)
def test_a_target_model_that_cannot_be_is_refused(service, endpoint, target, words):
    response = refused(service, endpoint, {"instances": [[1, 2]]}, target=target)
    assert response["Error"]["Code"] == "ValidationError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert words in response["Error"]["Message"]


def test_a_target_model_may_lie_in_a_folder_and_begin_with_a_slash(service, endpoint, models_bucket, model_archives):
    key = f"users/{uuid.uuid4().hex}/my model.tar.gz"
    service.s3.upload_file(str(model_archives["linear"]), models_bucket, f"models/{key}")
    for target in (key, "/linear.tar.gz"):
        assert service.endpoints.invoke(endpoint, {"instances": [[1, 2]]}, target=target) == {"predictions": [[10, 20]]}


def test_an_unknown_endpoint_or_variant_is_refused(service, endpoint):
    response = refused(service, "nobody", {})
    assert response["Error"]["Code"] == "ValidationError"
    assert response["Error"]["Message"] == "Endpoint nobody of account 123456789012 not found."
    response = refused(service, endpoint, {}, target="linear.tar.gz", TargetVariant="other")
    assert "no production variant 'other'" in response["Error"]["Message"]


def test_a_body_over_six_mebibytes_is_refused_before_it_reaches_a_model(service, endpoint):
    response = refused(service, endpoint, b" " * (6 * MEBIBYTE + 1), target="linear.tar.gz")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert "larger than the limit of 6,291,456 bytes" in response["Error"]["Message"]
    padded = b'{"inputs": [[1, 2]]}'.ljust(6 * MEBIBYTE)
    assert service.endpoints.invoke(endpoint, padded, target="linear.tar.gz") == {"outputs": [[10, 20]]}


def test_errors_are_counted(service, endpoint):
    names = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    before = {name: service.endpoints.metric(endpoint, name)[1] for name in names}
    refused(service, endpoint, {"instances": [["a"]]}, target="linear.tar.gz")
    refused(service, endpoint, {"instances": [["a"]]}, target="none.tar.gz")
    after = {name: service.endpoints.metric(endpoint, name)[1] for name in names}
    assert [after[name] - before[name] for name in names] == [2, 2, 0, 1]


@pytest.fixture(scope="module")
def single(service, models_bucket):
    """A single-model endpoint with one model."""
    name = f"single-{uuid.uuid4().hex[:8]}"
    service.endpoints.create(name, f"s3://{models_bucket}/models/linear.tar.gz", mode="SingleModel")
    yield name
    service.endpoints.delete(name)


def test_a_single_model_endpoint_serves_its_one_model(service, single):
    assert service.endpoints.status(single) == "InService"
    assert service.endpoints.invoke(single, {"instances": [[1, 2]]}) == {"predictions": [[10, 20]]}


def test_a_single_model_endpoint_refuses_a_target_model(service, single):
    response = refused(service, single, {"instances": [[1, 2]]}, target="linear.tar.gz")
    words = f"Endpoint {single} is not a multi-model endpoint and does not support target model header."
    assert response["Error"]["Message"] == words


@pytest.mark.slow
def test_a_single_model_endpoint_without_its_archive_fails_and_is_deleted(service, models_bucket):
    name = f"missing-{uuid.uuid4().hex[:8]}"
    before = set(service.endpoints.containers())
    service.endpoints.create(name, f"s3://{models_bucket}/none.tar.gz", mode="SingleModel")
    described = service.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointStatus"] == "Failed"
    assert "key: none.tar.gz" in described["FailureReason"]
    assert "is Failed and does not serve" in refused(service, name, {})["Error"]["Message"]
    assert set(service.endpoints.containers()) <= before
    service.endpoints.delete(name)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """An archive with a model that answers how many rows it was asked at one time."""
    import tensorflow as tf

    class Crowd(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x")])
        def count(self, x):
            return {"rows": tf.fill([tf.shape(x)[0]], tf.shape(x)[0])}

    folder = tmp_path_factory.mktemp("crowd")
    model = Crowd()
    tf.saved_model.save(model, str(folder / "model" / "1"), signatures={"serving_default": model.count})
    pack(folder / "model", folder / "crowd.tar.gz")
    return folder / "crowd.tar.gz"


@pytest.mark.slow
def test_a_models_environment_reaches_its_container_and_switches_batching_on(service, crowd, write_model, tmp_path):
    name, bucket = f"environment-{uuid.uuid4().hex[:8]}", service.buckets.create()
    script = "import json, os\ndef handler(data, context):\n    return json.dumps(dict(os.environ)), None\n"
    pack(write_model("tells", script), tmp_path / "tells.tar.gz")
    for archive in (crowd, tmp_path / "tells.tar.gz"):
        service.s3.upload_file(str(archive), bucket, archive.name)
    given = {"GREETING": "hello", "PATH": "/nowhere", "PYTHONPATH": "/nowhere", "SAGEMAKER_TFS_ENABLE_BATCHING": "true"}
    given |= {"SAGEMAKER_TFS_MAX_BATCH_SIZE": "4", "SAGEMAKER_TFS_BATCH_TIMEOUT_MICROS": "20000000"}
    service.endpoints.create(name, f"s3://{bucket}/", Environment=given)
    found = service.endpoints.invoke(name, {}, target="tells.tar.gz")
    assert found["GREETING"] == "hello"
    assert "/nowhere" not in (found["PATH"], found.get("PYTHONPATH"))
    assert "SECRET_OF_THE_SERVER" not in found
    with ThreadPoolExecutor(4) as callers:
        calls = [
            callers.submit(service.endpoints.invoke, name, {"instances": [[1, 2]]}, target="crowd.tar.gz")
            for _ in range(4)
        ]
    assert [call.result() for call in calls] == [{"predictions": [4]}] * 4
    service.endpoints.delete(name)


@pytest.mark.slow
def test_an_endpoint_that_is_told_nonsense_about_batching_fails_and_its_log_tells_why(service, models_bucket):
    name = f"nonsense-{uuid.uuid4().hex[:8]}"
    given = {"SAGEMAKER_TFS_ENABLE_BATCHING": "true", "SAGEMAKER_TFS_MAX_BATCH_SIZE": "many"}
    service.endpoints.create(name, f"s3://{models_bucket}/models/", Environment=given)
    assert service.endpoints.status(name) == "Failed"
    events = service.logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["events"]
    assert any("SAGEMAKER_TFS_MAX_BATCH_SIZE is 'many'. Set it to" in event["message"] for event in events)
    service.endpoints.delete(name)


@pytest.mark.slow
def test_an_endpoint_in_progress_is_neither_deleted_nor_updated(service, models_bucket):
    name = f"short-{uuid.uuid4().hex[:8]}"
    service.endpoints.create_model(name, f"s3://{models_bucket}/models/")
    service.endpoints.create_config(name)
    client = service.sagemaker
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    weights = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    for call in (
        lambda: client.delete_endpoint(EndpointName=name),
        lambda: client.update_endpoint(EndpointName=name, EndpointConfigName=name),
        lambda: client.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=weights),
    ):
        with pytest.raises(ClientError, match=f'Cannot update in-progress endpoint ".*:endpoint/{name}"'):
            call()
    eventually(lambda: service.endpoints.status(name) == "InService")
    service.endpoints.delete(name)


def test_an_endpoint_of_another_region_is_not_found(service, endpoint):
    runtime = service.client("sagemaker-runtime", region="eu-west-1")
    with pytest.raises(ClientError, match=f"Endpoint {endpoint} of account 123456789012 not found"):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}", TargetModel="linear.tar.gz")

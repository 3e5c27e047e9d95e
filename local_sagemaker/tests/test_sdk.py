"""The SageMaker Python SDK v3, unmodified, against the emulator."""

import json
import uuid

import boto3
import numpy as np
import pytest


@pytest.fixture(scope="module")
def sdk_session(local_server):
    """What the SDK's resources take to know where SageMaker is; its clients keep the address that they first see."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_server.environment.items():
            patch.setenv(name, value)
        yield {"session": boto3.Session(), "region": local_server.environment["AWS_REGION"]}


def image(scope):
    """The address of one of AWS's TensorFlow images, as the SDK names it."""
    from sagemaker.core import image_uris

    form = {"version": "2.19", "py_version": "py312", "instance_type": "ml.c5.xlarge"}
    return image_uris.retrieve("tensorflow", "us-east-1", image_scope=scope, **form)


@pytest.mark.slow
def test_the_resources_of_an_endpoint_from_creation_to_deletion(sdk_session, service, models_bucket):
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model
    from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

    name = f"sdk-{uuid.uuid4().hex[:8]}"
    container = ContainerDefinition(
        image=image("inference"),
        model_data_url=f"s3://{models_bucket}/models/",
        mode="MultiModel",
    )
    model = Model.create(
        model_name=name, primary_container=container, execution_role_arn=service.status.role_arn, **sdk_session
    )
    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=name, instance_type="ml.c5.xlarge", initial_instance_count=2
    )
    config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant], **sdk_session)
    endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name, **sdk_session)
    endpoint.wait_for_status("InService", poll=1, timeout=180)
    assert endpoint.endpoint_name in [item.endpoint_name for item in Endpoint.get_all(**sdk_session)]
    assert Model.get(model_name=name, **sdk_session).primary_container.mode == "MultiModel"
    pixels = json.dumps({"instances": np.full((1, 4, 4, 3), 255).tolist()})
    answer = endpoint.invoke(body=pixels, content_type="application/json", target_model="dense.tar.gz")
    assert json.loads(answer.body.read())["predictions"][0]["label"] == "bright"
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=180)
    config.delete()
    model.delete()
    assert service.sagemaker.list_models(NameContains=name)["Models"] == []


@pytest.fixture
def train(sdk_session, service, tmp_path):
    """A function that runs a script with some hyperparameters through ``ModelTrainer`` and returns its job."""
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.shapes import OutputDataConfig
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, SourceCode

    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "entry.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "text = Path(os.environ['SM_CHANNEL_TRAINING'], 'a.txt').read_text()\n"
        "Path(os.environ['SM_MODEL_DIR'], 'model.txt').write_text(' '.join([text, *sys.argv[1:]]))\n"
    )
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="data/a.txt", Body=b"data")

    def run(*, wait=True, **hyperparameters):
        trainer = ModelTrainer(
            training_image=image("training"),
            source_code=SourceCode(source_dir=str(tmp_path / "source"), entry_script="entry.py"),
            compute=Compute(instance_type="ml.c5.xlarge", instance_count=1),
            hyperparameters=hyperparameters,
            base_job_name="trivial",
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/jobs"),
            role=service.status.role_arn,
            sagemaker_session=Session(boto_session=sdk_session["session"], default_bucket=bucket),
        )
        data = InputData(channel_name="training", data_source=f"s3://{bucket}/data/")
        trainer.train(input_data_config=[data], wait=wait, logs=wait)
        return service.jobs.wait(trainer._latest_training_job.training_job_name)

    return run


@pytest.mark.slow
def test_model_trainer_runs_a_script_with_its_channels_and_hyperparameters(train, service):
    job = train(epochs=3, name="a b")
    assert job["TrainingJobStatus"] == "Completed"
    left = service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])["model.txt"].decode()
    assert left == "data --epochs 3 --name a b"


@pytest.mark.slow
def test_a_single_quote_that_breaks_the_sdks_shell_file_is_the_reason_of_the_failure(train):
    job = train(wait=False, name="it's")
    assert job["TrainingJobStatus"] == "Failed"
    assert (
        "single quote in the hyperparameter name breaks the shell file that the SageMaker SDK" in job["FailureReason"]
    )


def test_a_session_without_a_buckets_name_finds_its_bucket_here(sdk_session, service):
    from sagemaker.core.helper.session_helper import Session

    bucket = Session(boto_session=sdk_session["session"]).default_bucket()
    assert bucket == "sagemaker-us-east-1-123456789012"
    service.s3.head_bucket(Bucket=bucket)


def test_a_training_job_is_attached_to(sdk_session, service):
    from sagemaker.core.resources import TrainingJob

    job = service.jobs.run("true")
    found = TrainingJob.get(training_job_name=job["TrainingJobName"], **sdk_session)
    assert found.training_job_status == "Completed"
    found.delete()

import json

import pytest

from local_sagemaker.training.opt_ml import OptMl


@pytest.fixture
def opt_ml(tmp_path):
    return OptMl(tmp_path / "algo-1" / "opt" / "ml")


def channel(name, uri):
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def configuration(opt_ml, name):
    return json.loads((opt_ml.root / "input/config" / f"{name}.json").read_text())


def test_the_configuration_files(opt_ml):
    job = {
        "ResourceConfig": {"InstanceType": "ml.c5.large", "InstanceCount": 2},
        "HyperParameters": {"epochs": "3", "path": "/opt/ml/model"},
        "InputDataConfig": [channel("training", "s3://b/p") | {"ContentType": "text/csv"}],
        "CheckpointConfig": {"S3Uri": "s3://b/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
    }
    opt_ml.create(job, "algo-2", ["algo-1", "algo-2"])
    resources = configuration(opt_ml, "resourceconfig")
    assert resources["current_host"] == "algo-2"
    assert resources["hosts"] == ["algo-1", "algo-2"]
    assert resources["current_instance_type"] == "ml.c5.large"
    assert configuration(opt_ml, "hyperparameters") == {"epochs": "3", "path": str(opt_ml.root / "model")}
    training = configuration(opt_ml, "inputdataconfig")["training"]
    assert (training["TrainingInputMode"], training["ContentType"]) == ("File", "text/csv")
    checkpoints = {"S3Uri": "s3://b/checkpoints", "LocalPath": str(opt_ml.root / "checkpoints")}
    assert configuration(opt_ml, "checkpointconfig") == checkpoints
    assert opt_ml.model.is_dir()
    assert opt_ml.output_data.is_dir()


def test_the_failure_text_is_read_back_at_most_1024_characters(opt_ml):
    assert opt_ml.failure_text() == ""
    (opt_ml.root / "output").mkdir(parents=True)
    (opt_ml.root / "output/failure").write_text("x" * 2000 + "the cause\n")
    assert opt_ml.failure_text().endswith("the cause")
    assert len(opt_ml.failure_text()) <= 1024

from pathlib import Path

import pytest

from helpers import storage, training
from helpers.training import TrainingError

SCRIPTS = Path(__file__).parent / "job_scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Train with the scripts beside this file, which need no TensorFlow."""
    monkeypatch.setattr(training, "SCRIPTS", SCRIPTS)


@pytest.fixture(scope="module")
def channels(connection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_text("data")
    return {"training": storage.upload(connection, folder, connection.dataset_uri("trivial"))}


def train(connection, slug, script, channels, **options):
    return training.train(
        connection,
        slug,
        entry_script=script,
        channels=channels,
        hyperparameters={"epochs": 2},
        instance_type="ml.c5.xlarge",
        **options,
    )


def jobs(connection, slug):
    client = connection.boto.client("sagemaker")
    found = client.list_training_jobs(NameContains=slug)["TrainingJobSummaries"]
    return [client.describe_training_job(TrainingJobName=item["TrainingJobName"]) for item in found]


def test_a_job_returns_what_its_script_left_and_is_published(connection, channels):
    result = train(connection, "succeeds", "succeed.py", channels)
    assert result.job_name.startswith("succeeds")
    assert result.model_uri == f"{connection.jobs_uri}{result.job_name}/output/model.tar.gz"
    assert result.history == {"epoch": [1, 2]}
    assert result.evaluation["test"]["accuracy"] == 0.8
    assert result.provenance["hyperparameters"] == ["--epochs", "2"]
    assert result.training_seconds >= 1
    assert training.publish(connection, result, slug="succeeds") == connection.model_uri("succeeds")
    assert storage.exists(connection, connection.model_uri("succeeds"))


def test_a_script_that_raises_fails_with_its_reason_and_uploads_nothing(connection, channels):
    with pytest.raises(TrainingError) as failure:
        train(connection, "fails", "fail.py", channels)
    [job] = jobs(connection, "fails")
    assert job["TrainingJobStatus"] == "Failed"
    message = str(failure.value)
    assert message.startswith(f"Training job {job['TrainingJobName']} ended as Failed")
    assert job["FailureReason"] in message
    assert "ValueError: the learning rate must be positive" in message
    left = storage.list_names(connection, f"{connection.jobs_uri}{job['TrainingJobName']}/")
    assert [name for name in left if name.endswith("tar.gz") and "output/" in name] == []


def test_a_script_without_reports_is_told_what_to_write(connection, channels):
    with pytest.raises(TrainingError, match=r"must write history\.json, evaluation\.json and provenance\.json"):
        train(connection, "silent", "silent.py", channels)


def test_a_missing_channel_is_the_reason(connection):
    nowhere = {"training": f"{connection.base_uri}nowhere/"}
    with pytest.raises(TrainingError, match="no S3 objects found under S3 URL"):
        train(connection, "lacks", "succeed.py", nowhere)


def test_a_job_that_takes_too_long_is_stopped_and_said_so(connection, channels):
    with pytest.raises(TrainingError, match=r"ended as Stopped \(MaxRuntimeExceeded\)"):
        train(connection, "slow", "wait.py", channels, max_run_seconds=1)


def test_interrupting_the_wait_stops_the_job(connection, channels, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_follow", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(connection, "interrupted", "wait.py", channels)
    monkeypatch.undo()
    [job] = jobs(connection, "interrupted")
    assert job["TrainingJobStatus"] in ("Stopping", "Stopped")
    with pytest.raises(TrainingError, match="ended as Stopped"):
        training._follow(connection, job["TrainingJobName"])


@pytest.mark.parametrize(("instance", "processor"), [("ml.c5.xlarge", "cpu"), ("ml.g4dn.xlarge", "gpu")])
def test_the_image_fits_the_instance(connection, instance, processor):
    image = training.training_image(connection, instance)
    assert "/tensorflow-training:2.21" in image
    assert processor in image
    assert f".{connection.region}." in image


def test_a_script_is_shown_as_it_is():
    assert training.script_source("fail.py") == (SCRIPTS / "fail.py").read_text()

import shutil
from pathlib import Path

import pytest

from helpers import datasets, handover, s3, training
from helpers.aws import job_log
from helpers.display.progress import Step
from helpers.training import TrainingError

SERIES_SCRIPTS = training.SCRIPTS
SCRIPTS = Path(__file__).parent / "job_scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Train with the scripts beside this file, which need no TensorFlow."""
    monkeypatch.setattr(training, "SCRIPTS", SCRIPTS)


@pytest.fixture(scope="module")
def channels(connection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_text("data")
    return {"training": s3.upload(connection, folder, connection.dataset_uri("trivial"))}


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


@pytest.mark.aws
def test_a_job_returns_what_its_script_left_and_is_published(connection, channels):
    result = train(connection, "succeeds", "succeed.py", channels)
    assert result.job_name.startswith("succeeds")
    assert result.model_uri == f"{connection.jobs_uri}{result.job_name}/output/model.tar.gz"
    assert result.history == {"epoch": [1, 2]}
    assert result.evaluation["test"]["accuracy"] == 0.8
    assert set(result.mistakes) == {"validation", "test"}
    assert (result.mistakes["test"].images == 7).all() and result.mistakes["test"].image_count == 10
    assert result.provenance["hyperparameters"] == ["--epochs", "2"]
    assert result.source == "Two texts. Weights: none."
    assert result.training_seconds >= 1
    assert training.publish(connection, result, slug="succeeds") == connection.model_uri("succeeds")
    assert s3.exists(connection, connection.model_uri("succeeds"))
    with pytest.raises(TrainingError, match=r"model.tar.gz holds no archives. Publish a single model with publish"):
        training.publish_all(connection, result, models_uri=connection.user_models_uri)


def test_every_archive_of_a_job_is_published_and_nothing_else(connection, channels):
    result = train(connection, "several", "several.py", channels)
    sizes = training.publish_all(connection, result, models_uri=connection.user_models_uri)
    assert s3.list_names(connection, connection.user_models_uri) == ["a.tar.gz", "b.tar.gz"]
    assert s3.read(connection, f"{connection.user_models_uri}b.tar.gz") == b"archive b"
    assert sizes == {"a.tar.gz": 9, "b.tar.gz": 9}


def test_a_script_that_raises_fails_with_its_reason_and_uploads_nothing(connection, channels):
    with pytest.raises(TrainingError) as failure:
        train(connection, "fails", "fail.py", channels)
    [job] = jobs(connection, "fails")
    assert job["TrainingJobStatus"] == "Failed"
    message = str(failure.value)
    assert message.startswith(f"Training job {job['TrainingJobName']} ended as Failed")
    assert job["FailureReason"] in message
    assert "ValueError: the learning rate must be positive" in message
    left = s3.list_names(connection, f"{connection.jobs_uri}{job['TrainingJobName']}/")
    assert [name for name in left if name.endswith("tar.gz") and "output/" in name] == []


def test_a_script_without_reports_is_told_what_to_write(connection, channels):
    with pytest.raises(
        TrainingError, match=r"must write history\.json, evaluation\.json, provenance\.json and mistakes/"
    ):
        train(connection, "silent", "silent.py", channels)


def test_a_missing_channel_is_the_reason(connection):
    nowhere = {"training": f"{connection.base_uri}nowhere/"}
    with pytest.raises(TrainingError, match="no S3 objects found under S3 URL"):
        train(connection, "lacks", "succeed.py", nowhere)


def test_a_job_that_takes_too_long_is_stopped_and_said_so(connection, channels):
    with pytest.raises(TrainingError, match=r"ended as Stopped \(MaxRuntimeExceeded\)"):
        train(connection, "slow", "wait.py", channels, max_run_seconds=1)


def test_interrupting_the_wait_stops_the_job_and_says_so(connection, channels, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(job_log, "follow", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(connection, "interrupted", "wait.py", channels)
    monkeypatch.undo()
    [job] = jobs(connection, "interrupted")
    assert job["TrainingJobStatus"] in ("Stopping", "Stopped")
    assert job_log.follow(connection, job["TrainingJobName"], Step(""))[0]["TrainingJobStatus"] == "Stopped"
    said = capsys.readouterr().err
    assert f"Training job {job['TrainingJobName']}. It is being stopped; on AWS it bills until it has" in said


@pytest.mark.slow
def test_a_stopped_job_goes_on_from_its_checkpoint(connection, tmp_path, monkeypatch):
    shutil.copytree(SERIES_SCRIPTS, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPTS / "stop_itself.py", tmp_path)
    monkeypatch.setattr(training, "SCRIPTS", tmp_path)
    data = {"training": handover.put_dataset(connection, datasets.load_cifar("sample", limit=40))}
    options = {
        "entry_script": "stop_itself.py", "channels": data, "instance_type": "ml.c5.xlarge", "checkpoint": "stopped/1",
        "hyperparameters": {"epochs": 3, "batch-size": 16, "width": 4},
    }  # fmt: skip
    with pytest.raises(TrainingError, match="ended as Stopped") as stop:
        training.train(connection, "stopped", **options)
    assert "epoch 1/3" in str(stop.value) and "epoch 2/3" not in str(stop.value)
    assert s3.list_names(connection, f"{connection.base_uri}checkpoints/stopped/1/") == ["checkpoint"]
    result = training.train(connection, "resumed", use_spot=True, **options)
    assert result.history["epoch"] == [1, 2, 3]
    assert result.provenance["resumed_at"] == [2]
    assert "checkpoint_dir" not in result.provenance["hyperparameters"]
    log = list(job_log.new_lines(connection, result.job_name, {}))
    assert [line for line in log if line.startswith("checkpoint: 1 of 3 epochs are done")]
    [job] = jobs(connection, "resumed")
    assert job["EnableManagedSpotTraining"]
    longest = job["StoppingCondition"]
    assert longest["MaxWaitTimeInSeconds"] == 2 * longest["MaxRuntimeInSeconds"]
    assert job["HyperParameters"]["checkpoint-dir"] == job["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"


def test_spot_instances_need_a_checkpoint(connection, channels):
    with pytest.raises(ValueError, match="Pass checkpoint"):
        train(connection, "spot", "succeed.py", channels, use_spot=True)


def test_a_script_is_shown_as_it_is():
    assert training.script_source("fail.py") == (SCRIPTS / "fail.py").read_text()

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clients import packed, wheel

from local_sagemaker.errors import ServiceError
from local_sagemaker.training import entry_points

JOBS = Path(__file__).parent / "jobs"


REQUIREMENTS = b"numpy\n./given_package-1.0-py3-none-any.whl\n"
SOURCE = {
    "train.py": (JOBS / "script_mode.py").read_bytes(),
    "neighbour.py": b"NAME = 'neighbour'\n",
    "requirements.txt": REQUIREMENTS,
    "given_package-1.0-py3-none-any.whl": wheel("given_package", "NAME = 'given_package'\n"),
}


def script_mode_job(service, source, *, algorithm=None, parameters=None, **changes):
    """Run a job the way version 2 of the SDK does: no entry point, all hyperparameters as JSON."""
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="source/sourcedir.tar.gz", Body=source)
    service.s3.put_object(Bucket=bucket, Key="data/x", Body=b"x")
    given = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{bucket}/source/sourcedir.tar.gz",
        "sagemaker_container_log_level": 20,
        "sagemaker_region": "us-east-1",
        "epochs": 3,
        "optimizer": "adam",
        "model_dir": f"s3://{bucket}/jobs/model",
    }
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/"}
    request = service.jobs.request(
        "",
        bucket=bucket,
        HyperParameters={name: json.dumps(value) for name, value in (given | (parameters or {})).items()},
        InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
        algorithm=algorithm or {},
        **changes,
    )
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    service.sagemaker.create_training_job(**request)
    return service.jobs.wait(request["TrainingJobName"])


@pytest.fixture(scope="module")
def told(service):
    """What a script that was given the older way found around it."""
    job = script_mode_job(service, packed(SOURCE))
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), service.jobs.log(job["TrainingJobName"]))
    files = service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])
    assert set(files) == {"told.json", "marker"}
    return json.loads(files["told.json"])


def test_the_script_gets_its_hyperparameters_as_sorted_arguments(told):
    names, values = told["arguments"][::2], told["arguments"][1::2]
    assert names == ["--epochs", "--model_dir", "--optimizer"]
    assert (values[0], values[2]) == ("3", "adam")
    assert values[1].startswith("s3://")


def test_the_script_gets_the_toolkits_variables(told):
    variables = told["variables"]
    assert json.loads(variables["SM_HPS"])["epochs"] == 3
    assert (variables["SM_HP_EPOCHS"], variables["SM_HP_OPTIMIZER"]) == ("3", "adam")
    assert json.loads(variables["SM_HOSTS"]) == ["algo-1"]
    assert variables["SM_CURRENT_HOST"] == "algo-1"
    assert json.loads(variables["SM_CHANNELS"]) == ["training"]
    assert json.loads(variables["SM_USER_ARGS"]) == told["arguments"]
    assert variables["SM_USER_ENTRY_POINT"] == "train.py"
    assert variables["SM_MODULE_NAME"] == "train"
    assert json.loads(variables["SM_TRAINING_ENV"])["module_name"] == "train"
    for name in ("SM_OUTPUT_DATA_DIR", "SM_OUTPUT_DIR", "SM_INPUT_DIR", "SM_INPUT_CONFIG_DIR", "SM_MODULE_DIR"):
        assert variables[name], name
    assert variables["SM_MODEL_DIR"].endswith("/opt/ml/model")


def test_the_script_runs_beside_its_source_and_its_data(told):
    assert told["folder"].endswith("/opt/ml/code")
    assert told["neighbour"] == "neighbour"
    assert told["channel"] == ["x"]


def test_requirements_are_installed_for_the_job_alone(told, service):
    assert told["package"] == "given_package"
    with pytest.raises(ModuleNotFoundError):
        __import__("given_package")


def test_requirements_that_cannot_be_installed_fail_the_job(service):
    source = packed({"train.py": b"print('never')", "requirements.txt": b"./no-such-file.whl\n"})
    job = script_mode_job(service, source)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: InstallRequirementsError")
    assert job["FailureReason"].endswith("exit code: 1")
    assert "never" not in service.jobs.log(job["TrainingJobName"])


def test_a_failing_script_is_told_as_the_toolkit_does(service):
    source = packed({"train.py": b"raise ValueError('no such class')\n"})
    reason = script_mode_job(service, source)["FailureReason"]
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n")
    assert 'ErrorMessage "ValueError: no such class"' in reason
    assert 'Command "python train.py --epochs 3 --model_dir s3://' in reason
    assert reason.endswith(", exit code: 1")


def test_a_shell_script_is_run_too(service):
    source = packed({"run.sh": b"echo shell $1 $2 > /opt/ml/model/x\n"})
    job = script_mode_job(service, source, parameters={"sagemaker_program": "run.sh"})
    assert service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"]) == {"x": b"shell --epochs 3\n"}


@pytest.mark.parametrize(
    "source",
    [packed({"../evil.py": b""}), packed({"a": b""}, links={"link": "/etc/passwd"}), b"no archive"],
    ids=["climbing", "link", "text"],
)
def test_a_hostile_source_archive_fails_the_job(service, source):
    job = script_mode_job(service, source)
    assert job["TrainingJobStatus"] == "Failed"
    assert "cannot be unpacked" in job["FailureReason"]


def test_a_source_that_is_not_there_is_named(service):
    job = script_mode_job(service, packed({"a": b""}), parameters={"sagemaker_submit_directory": "s3://none/x.tar.gz"})
    assert "no archive at s3://none/x.tar.gz" in job["FailureReason"]


def test_a_job_that_says_not_what_to_run_is_refused(service):
    request = service.jobs.request("")
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match=r"ContainerEntrypoint.*sagemaker_program"):
        service.sagemaker.create_training_job(**request)


def test_both_ways_are_accepted_and_nothing_else():
    algorithm = {"TrainingImage": "x"}
    entry_points.check({"AlgorithmSpecification": algorithm | {"ContainerEntrypoint": ["/bin/true"]}})
    source = {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://b/x"}
    entry_points.check({"AlgorithmSpecification": algorithm, "HyperParameters": source})
    with pytest.raises(ServiceError):
        entry_points.check({"AlgorithmSpecification": algorithm, "HyperParameters": {"sagemaker_program": "train.py"}})

"""Jobs whose instances train through MPI, given by either version of the SDK."""

import json
import os
import shutil
import time
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from clients import packed

from local_sagemaker.training import mpi
from local_sagemaker.training.opt_ml import InputError

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "jobs" / "meet.py"
TWO = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}
# Where programs leave traces outside their folders; /etc has what the SDK's own driver writes.
ELSEWHERE = ("/etc", "/var/tmp")


@pytest.fixture(scope="module")
def train(local_server, service, tmp_path_factory):
    """A function that runs the script by version 3 of the SDK and returns the description of the job."""
    source = tmp_path_factory.mktemp("source")
    shutil.copy(SCRIPT, source)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_server.environment.items():
            patch.setenv(name, value)
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.shapes import OutputDataConfig
        from sagemaker.core.training.configs import Compute, SourceCode
        from sagemaker.train import ModelTrainer
        from sagemaker.train.distributed import MPI

        bucket = service.buckets.create()
        session = Session(boto_session=boto3.Session(), default_bucket=bucket)

        def run(count, *, hyperparameters=None, **options):
            trainer = ModelTrainer(
                training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.19-cpu-py312",
                source_code=SourceCode(source_dir=str(source), entry_script=SCRIPT.name),
                distributed=MPI(**options),
                compute=Compute(instance_type="ml.c5.xlarge", instance_count=count),
                hyperparameters=hyperparameters or {},
                base_job_name="mpi",
                output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/jobs"),
                role=service.status.role_arn,
                sagemaker_session=session,
            )
            trainer.train(wait=False, logs=False)
            return service.jobs.wait(trainer._latest_training_job.training_job_name)

        yield run


def ranks_of(service, job):
    """What each rank saw, in their order."""
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], service.jobs.log(job["TrainingJobName"]))
    files = service.buckets.unpacked(job["ModelArtifacts"]["S3ModelArtifacts"])
    return [json.loads(files[name]) for name in sorted(files)]


def written_since(moment):
    """Files that are newer than a moment, outside the folders of the test."""
    found = (Path(folder, name) for root in ELSEWHERE for folder, _, names in os.walk(root) for name in names)
    return [path for path in found if path.lstat().st_ctime > moment]


def test_one_rank_runs_on_each_of_two_instances_and_nothing_is_left_elsewhere(train, service):
    moment = time.time()
    options = {"process_count_per_node": 2, "mpi_additional_options": ["--map-by", "node", "-x", "GIVEN=word"]}
    job = train(2, hyperparameters={"epochs": 3}, **options)
    found = ranks_of(service, job)
    assert [(each["rank"], each["host"]) for each in found] == [(0, "algo-1"), (1, "algo-2")]
    assert {(each["size"], each["total"], each["given"]) for each in found} == {(2, 3.0, "word")}
    assert [each["arguments"] for each in found] == [["--epochs", "3"]] * 2
    assert [each["listens"] for each in found] == [["127.0.0.1"]] * 2
    assert [each["shared_memory"] for each in found] == [[], []]
    assert written_since(moment) == []
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]  # None if it just ended
    left = [command for command in commands if "mpi_server.py" in " ".join(command)]
    assert left == []


@pytest.mark.parametrize(("options", "hosts"), [({}, ["algo-1"]), ({"process_count_per_node": 2}, ["algo-1"] * 2)])
def test_as_many_ranks_run_as_the_sdk_would_start_and_an_idle_instance_is_told(train, service, options, hosts):
    job = train(2, **options)
    assert [each["host"] for each in ranks_of(service, job)] == hosts
    told = [line for line in service.jobs.log(job["TrainingJobName"]) if "No rank of MPI runs on algo-2" in line]
    assert len(told) == 1 and '["--map-by", "node"]' in told[0]


def test_a_rank_that_dies_ends_the_job_with_its_reason(train, service):
    options = {"process_count_per_node": 2, "mpi_additional_options": ["--map-by", "node"]}
    job = train(2, hyperparameters={"die": "now"}, **options)
    assert job["TrainingJobStatus"] == "Failed"
    assert "Rank 1 of MPI on algo-2 ended" in job["FailureReason"]
    assert any("no rank is an island" in line for line in service.jobs.log(job["TrainingJobName"]))


def test_an_option_of_mpirun_that_has_no_effect_here_is_refused_by_name(train):
    job = train(1, mpi_additional_options=["--bind-to", "core"])
    assert job["TrainingJobStatus"] == "Failed"
    assert "does not support mpirun's option --bind-to core. It knows -x NAME" in job["FailureReason"]


def start_by_version_2(service, **parameters):
    bucket, source = service.buckets.create(), packed({SCRIPT.name: SCRIPT.read_bytes()})
    service.s3.put_object(Bucket=bucket, Key="sourcedir.tar.gz", Body=source)
    given = {"sagemaker_program": SCRIPT.name, "sagemaker_submit_directory": f"s3://{bucket}/sourcedir.tar.gz"}
    given = {name: json.dumps(value) for name, value in (given | parameters).items()}
    request = service.jobs.request("", bucket=bucket, HyperParameters=given, ResourceConfig=TWO)
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    service.sagemaker.create_training_job(**request)
    return request["TrainingJobName"]


def test_version_2_of_the_sdk_counts_the_ranks_of_each_instance(service):
    options = {
        "sagemaker_mpi_num_of_processes_per_host": 2,
        "sagemaker_mpi_custom_mpi_options": "--mca btl_x y -x GIVEN",
    }
    job = service.jobs.wait(start_by_version_2(service, sagemaker_mpi_enabled=True, epochs=3, **options))
    found = ranks_of(service, job)
    assert [each["host"] for each in found] == ["algo-1", "algo-1", "algo-2", "algo-2"]
    assert {(each["size"], each["total"]) for each in found} == {(4, 10.0)}
    assert found[0]["arguments"] == ["--epochs", "3"]


@pytest.mark.parametrize("kind", ["multi_worker_mirrored_strategy", "parameter_server"])
def test_other_ways_to_train_on_several_instances_are_refused_by_name(service, kind):
    with pytest.raises(ClientError, match=f"does not train with {kind}. It knows distribution="):
        start_by_version_2(service, **{f"sagemaker_{kind}_enabled": True})


def test_options_of_mpirun_become_variables():
    variables, by_node = mpi._read_options(["-x", "A=b=c", "-mca", "pml", "cm", "--map-by", "slot"])
    assert (variables, by_node) == ({"A": "b=c", "OMPI_MCA_pml": "cm"}, False)
    with pytest.raises(InputError, match="--hostfile hosts"):
        mpi._read_options(["--hostfile", "hosts"])

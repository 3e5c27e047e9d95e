"""Training jobs through the SDK's ``ModelTrainer``: start, follow, read what they leave, publish."""

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from helpers import s3
from helpers.aws import artifacts, job_log
from helpers.aws.artifacts import ArtifactError, Mistakes
from helpers.aws.connection import Connection
from helpers.display.progress import Step

SCRIPTS = Path(__file__).resolve().parents[1] / "training_scripts"
# Where a job has its checkpoints; they are kept in S3 while it runs.
_CHECKPOINT_FOLDER = "/opt/ml/checkpoints"


class TrainingError(RuntimeError):
    """The training job did not complete; the message has its failure reason and the end of its log."""


@dataclass(frozen=True)
class TrainingResult:
    """What a completed training job left."""

    job_name: str
    model_uri: str  # S3 URI of `model.tar.gz`
    history: dict[str, list[float]]  # per-epoch lists: epoch, loss, accuracy, val_loss, val_accuracy, seconds
    # For validation and test: accuracy with its 95 % interval, counts, and calibration; the confusion matrix of the
    # test images, and the class names
    evaluation: dict[str, Any]
    mistakes: dict[str, Mistakes]  # the most confident mistakes, by split: `validation` and `test`
    provenance: dict[str, Any]  # data, weights, seed, hyperparameters and versions that the model comes from
    training_seconds: int  # seconds the instances spent on training

    @property
    def source(self) -> str:
        """Sentences that say which data and which initial weights the model comes from, for figures."""
        return artifacts.describe(self.provenance)


def train(
    connection: Connection,
    slug: str,
    *,
    entry_script: str,
    channels: Mapping[str, str],
    hyperparameters: Mapping[str, Any],
    instance_type: str,
    instance_count: int = 1,
    image: str | None = None,
    max_run_seconds: int = 3600,
    checkpoint: str | None = None,
    use_spot: bool = False,
) -> TrainingResult:
    """Run a training script as a SageMaker training job and wait for it, with a bar and a line for each epoch.

    The job runs in the VPC of the connection's account, and its volumes and output are encrypted with its key.
    Interrupting the wait stops the job.

    Args:
        connection: The session.
        slug: Model slug; the job's name starts with it.
        entry_script: Script in `training_scripts/`.
        channels: S3 URI by channel name.
        hyperparameters: Passed to the script as `--name value`.
        instance_type: Such as `"ml.c5.2xlarge"`.
        instance_count: Number of instances; several train one model together, through MPI.
        image: Training image; by default that of the account, or AWS's TensorFlow training image for the instance type.
        max_run_seconds: The job is stopped after this time.
        checkpoint: Name of the training among its checkpoints in S3. A job that was interrupted goes on from its last
            epoch when it is started again under the same name, and a finished one trains no more. Training with
            other data or hyperparameters needs another name. None keeps no checkpoints.
        use_spot: Train on spare capacity, which costs less and may be taken away; the job then goes on by itself from
            its checkpoint when there is capacity again. It ends, waiting included, after twice `max_run_seconds`.

    Raises:
        TrainingError: If the job fails or is stopped.
        ValueError: If spot instances are to be used without a checkpoint.
    """
    if use_spot and not checkpoint:
        raise ValueError("A job on spot instances may be interrupted. Pass checkpoint, so that it need not start anew.")
    account, kms_key = connection.account, connection.account.kms_key or None
    listing = f"python -m series.orphaned_resources list --target {connection.target} --prefix {connection.prefix}"
    unknown = f"If the job was created, {listing} shows it."
    with Step(f"Training job for {slug}", unit="epochs", if_stopped=unknown) as step:
        step.note = "importing the SageMaker SDK"
        sdk = connection.sagemaker
        # After the session, which imports the SDK and keeps it quiet.
        from sagemaker.core.shapes import OutputDataConfig, StoppingCondition
        from sagemaker.core.training.configs import CheckpointConfig, Compute, InputData, Networking, SourceCode
        from sagemaker.train import ModelTrainer

        step.note = "uploading the scripts"
        longest = {"max_wait_time_in_seconds": 2 * max_run_seconds} if use_spot else {}
        checkpoints = CheckpointConfig(
            s3_uri=f"{connection.base_uri}checkpoints/{checkpoint}/", local_path=_CHECKPOINT_FOLDER
        )
        trainer = ModelTrainer(
            training_image=image or connection.image("training", instance_type),
            source_code=SourceCode(source_dir=str(SCRIPTS), entry_script=entry_script),
            distributed=_distribution(instance_count),
            compute=Compute(
                instance_type=instance_type,
                instance_count=instance_count,
                enable_managed_spot_training=use_spot,
                volume_kms_key_id=kms_key,
            ),
            networking=Networking(**account.vpc),
            hyperparameters=dict(hyperparameters) | ({"checkpoint-dir": _CHECKPOINT_FOLDER} if checkpoint else {}),
            base_job_name=slug,
            input_s3_key_prefix=f"{connection.prefix}/jobs",
            output_data_config=OutputDataConfig(s3_output_path=connection.jobs_uri, kms_key_id=kms_key),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=max_run_seconds, **longest),
            checkpoint_config=checkpoints if checkpoint else None,
            role=connection.role_arn,
            sagemaker_session=sdk,
        )
        inputs = [InputData(channel_name=name, data_source=uri) for name, uri in channels.items()]
        trainer.train(input_data_config=inputs, wait=False, logs=False)
        job_name = step.name = trainer._latest_training_job.training_job_name
        result = _result(connection, _wait(connection, job_name, step))
        step.name, step.note = "Completed", f"validation {result.evaluation['validation']['accuracy']:.3f}"
        step.reach(len(result.history.get("epoch", [])))
    return result


def publish(connection: Connection, result: TrainingResult, *, slug: str) -> str:
    """Copy a trained model's archive below the multi-model endpoint's prefix and return its S3 URI."""
    return s3.copy(connection, result.model_uri, connection.model_uri(slug))


def publish_all(connection: Connection, result: TrainingResult, *, models_uri: str) -> dict[str, int]:
    """Publish each archive in a job's `model.tar.gz` below an S3 prefix, and return the bytes of each by name.

    What is there under another name stays.

    Raises:
        TrainingError: If the job left no archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = s3.download(connection, result.model_uri, Path(folder, "model.tar.gz"))
        unpacked = Path(folder, "archives")
        unpacked.mkdir()
        with tarfile.open(bundle) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".tar.gz") and (content := archive.extractfile(member)):
                    (unpacked / Path(member.name).name).write_bytes(content.read())
        sizes = {path.name: path.stat().st_size for path in sorted(unpacked.iterdir())}
        if not sizes:
            raise TrainingError(f"{result.model_uri} holds no archives. Publish a single model with publish.")
        s3.upload(connection, unpacked, models_uri)
    return sizes


def script_source(entry_script: str) -> str:
    """Return the text of a training script, for notebooks that show it."""
    return (SCRIPTS / entry_script).read_text(encoding="utf-8")


def _wait(connection: Connection, job_name: str, step: Step) -> dict[str, Any]:
    """Return what ``DescribeTrainingJob`` says of a job that has completed; who interrupts this stops the job."""
    try:
        description, log_end = job_log.follow(connection, job_name, step)
    except KeyboardInterrupt:
        connection.boto.client("sagemaker").stop_training_job(TrainingJobName=job_name)
        step.name = f"Training job {job_name}"
        step.if_stopped = "It is being stopped; on AWS it bills until it has, in two minutes at most."
        raise
    if description["TrainingJobStatus"] != "Completed":
        raise TrainingError(
            f"Training job {job_name} ended as {description['TrainingJobStatus']} "
            f"({description['SecondaryStatus']}): {description.get('FailureReason', 'no reason given')}\n"
            f"The end of its log:\n{log_end}"
        )
    return description


def _distribution(instance_count: int) -> Any:
    """Start one process of the script on each instance; a single one needs no MPI.

    The SDK's driver (3.27) gives mpirun all instances, each with room for `process_count_per_node` processes, and asks
    for only that many in all. So the default starts one process on the first instance, and the others idle and bill.
    As many as there are instances, dealt out to them in turn, are one on each, under Open MPI 4.1 and 5.
    """
    from sagemaker.train.distributed import MPI

    if instance_count == 1:
        return None
    return MPI(process_count_per_node=instance_count, mpi_additional_options=["--map-by", "node"])


def _result(connection: Connection, description: dict[str, Any]) -> TrainingResult:
    job_name = description["TrainingJobName"]
    output_uri = f"{connection.jobs_uri}{job_name}/output/output.tar.gz"
    try:
        left = artifacts.read_output(s3.read(connection, output_uri))
    except (ClientError, ArtifactError) as error:
        raise TrainingError(
            f"Training job {job_name} completed without its reports ({error}). The script must write history.json, "
            "evaluation.json, provenance.json and mistakes/ to SM_OUTPUT_DATA_DIR, and a model to SM_MODEL_DIR."
        ) from error
    return TrainingResult(
        job_name=job_name,
        model_uri=description["ModelArtifacts"]["S3ModelArtifacts"],
        training_seconds=description.get("TrainingTimeInSeconds", 0),
        **left,
    )

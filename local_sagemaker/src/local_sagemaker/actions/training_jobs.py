"""Actions on training jobs."""

from typing import Any

import regex

from local_sagemaker.actions.resources import Resources, check_image
from local_sagemaker.errors import validation
from local_sagemaker.records import now
from local_sagemaker.training import channels, checkpoints, entry_points
from local_sagemaker.training.job_status import KIND as TRAINING_JOB
from local_sagemaker.training.training_jobs import TrainingJobs


class TrainingJobActions:
    """``CreateTrainingJob`` and its kin."""

    def __init__(self, resources: Resources, training_jobs: TrainingJobs) -> None:
        """Create the actions over the running jobs."""
        self._resources = resources
        self._training_jobs = training_jobs

    def create_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record a training job and start it."""
        name = request["TrainingJobName"]
        _check_training_job(request)
        transition = {"Status": "Starting", "StartTime": now(), "StatusMessage": "Starting the training job"}
        job = request | {
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [transition],
        }
        resource = self._resources.create(TRAINING_JOB, name, job)
        self._training_jobs.start(name)
        return {"TrainingJobArn": resource}

    def describe_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a training job."""
        job = self._resources.find(TRAINING_JOB, request["TrainingJobName"])
        if job is None:
            raise validation("Requested resource not found.")
        output = {"KmsKeyId": ""} | job["OutputDataConfig"]  # always there on AWS, and read by SDK v2
        return job | {"OutputDataConfig": output}

    def delete_training_job(self, request: dict[str, Any]) -> None:
        """Forget a job that has ended, so that its name can be used again."""
        job = self.describe_training_job(request)
        if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
            raise validation(
                f"The training job is in status {job['TrainingJobStatus']}. Only a job that has ended can be deleted."
            )
        self._resources.records.delete(TRAINING_JOB, job["TrainingJobName"])
        self._resources.put_tags(job["TrainingJobArn"], [])

    def list_training_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of training jobs."""
        request = {"SortOrder": "Ascending"} | request  # the other List actions have the newest first
        return self._resources.list(TRAINING_JOB, request, "TrainingJobSummaries", status="TrainingJobStatus")

    def stop_training_job(self, request: dict[str, Any]) -> None:
        """Ask a running job to stop."""
        job = self.describe_training_job(request)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            raise validation(
                f"The request was rejected because the training job is in status {job['TrainingJobStatus']}."
            )
        self._resources.records.update(
            TRAINING_JOB,
            job["TrainingJobName"],
            when={"TrainingJobStatus": "InProgress"},  # it may have ended since
            TrainingJobStatus="Stopping",
            LastModifiedTime=now(),
        )
        self._training_jobs.stop(job["TrainingJobName"])


def _check_training_job(request: dict[str, Any]) -> None:
    """Refuse what a training job needs here, or cannot have, before it starts."""
    for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if member not in request:
            raise validation(f"local_sagemaker runs training jobs with their own instances. Give {member}.")
    if "InstanceType" not in request["ResourceConfig"]:
        raise validation("local_sagemaker runs training jobs on instances of one type. Give InstanceType.")
    algorithm = request["AlgorithmSpecification"]
    check_image(algorithm.get("TrainingImage", ""), "tensorflow-training")
    entry_points.check(request)
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            groups = regex.compile(definition["Regex"]).groups
        except regex.error as error:
            raise validation(f"The Regex of metric {definition['Name']!r} is not valid: {error}.") from error
        if not groups:
            raise validation(f"The Regex of metric {definition['Name']!r} has no group ( ) for the value.")
    for channel in request.get("InputDataConfig", []):
        channels.check(channel, algorithm["TrainingInputMode"])
    if "CheckpointConfig" in request:
        checkpoints.check(request["CheckpointConfig"])
    _check_waiting(request)
    if not request["OutputDataConfig"]["S3OutputPath"].startswith("s3://"):
        raise validation("S3OutputPath must start with s3://.")


def _check_waiting(request: dict[str, Any]) -> None:
    """Refuse a time to wait for spot instances that is too short, or has none to wait for."""
    condition = request["StoppingCondition"]
    if not request.get("EnableManagedSpotTraining"):
        if "MaxWaitTimeInSeconds" in condition:
            raise validation(
                "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true."
            )
    elif condition.get("MaxWaitTimeInSeconds", 0) < condition.get("MaxRuntimeInSeconds", 86_400):
        raise validation(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds."
        )

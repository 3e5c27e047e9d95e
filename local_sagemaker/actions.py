"""SageMaker's API actions: one method each, named as the action.

Requests are validated and responses shaped by botocore's own service model; the state is in SQLite.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from botocore import xform_name

from local_sagemaker import listing, service_model
from local_sagemaker.endpoints import CONFIG, ENDPOINT, MODEL, Endpoints
from local_sagemaker.errors import ServiceError, validation
from local_sagemaker.records import Records, now
from local_sagemaker.settings import arn
from local_sagemaker.training_jobs import KIND as TRAINING_JOB
from local_sagemaker.training_jobs import TrainingJobs

TAGS = "tags"
_TITLES = {ENDPOINT: "endpoint", CONFIG: "endpoint configuration", MODEL: "model"}
_ARN_TYPES = {ENDPOINT: "endpoint", CONFIG: "endpoint-config", MODEL: "model", TRAINING_JOB: "training-job"}


class Actions:
    """The supported actions of the SageMaker API."""

    def __init__(self, records: Records, training_jobs: TrainingJobs, endpoints: Endpoints) -> None:
        """Create the API over its parts."""
        self._records = records
        self._training_jobs = training_jobs
        self._endpoints = endpoints
        self._region = ""

    def call(self, action: str, body: bytes, *, region: str) -> bytes:
        """Answer a request of the JSON protocol.

        Args:
            action: Action name, such as ``CreateModel``.
            body: JSON request.
            region: AWS Region of the request.

        Returns:
            JSON response.

        Raises:
            ServiceError: As AWS would answer, or ``UnsupportedOperation`` for an action the stand-in lacks.
        """
        service_model.operation(action)
        method: Callable[[dict[str, Any]], dict[str, Any] | None] | None = getattr(self, xform_name(action), None)
        if method is None:
            supported = ", ".join(supported_actions())
            raise ServiceError("UnsupportedOperation", f"local_sagemaker has no {action}. It supports: {supported}.")
        try:
            request = json.loads(body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", f"The request is no JSON: {error}") from error
        if not isinstance(request, dict):
            raise ServiceError("SerializationException", "The request must be a JSON object.")
        service_model.validate(action, request)
        self._region = region
        return json.dumps(service_model.shape_response(action, method(request) or {})).encode()

    # Training jobs

    def create_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record a training job and start it."""
        name = request["TrainingJobName"]
        resource = self._arn(TRAINING_JOB, name)
        if self._records.get(TRAINING_JOB, name):
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this "
                f"name already exists ({resource}).",
            )
        _check_training_job(request)
        moment = now()
        job = {key: value for key, value in request.items() if key != "Tags"} | {
            "TrainingJobArn": resource,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "CreationTime": moment,
            "LastModifiedTime": moment,
            "SecondaryStatusTransitions": [
                {"Status": "Starting", "StartTime": moment, "StatusMessage": "Starting the training job"}
            ],
        }
        self._records.put(TRAINING_JOB, name, job)
        self._tag(resource, request.get("Tags", []))
        self._training_jobs.start(name)
        return {"TrainingJobArn": resource}

    def describe_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a training job."""
        job = self._records.get(TRAINING_JOB, request["TrainingJobName"])
        if job is None:
            raise validation("Requested resource not found.")
        return job

    def list_training_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of training jobs."""
        return self._list(
            TRAINING_JOB, request, "TrainingJobSummaries", name="TrainingJobName", status="TrainingJobStatus"
        )

    def stop_training_job(self, request: dict[str, Any]) -> None:
        """Ask a running job to stop."""
        job = self.describe_training_job(request)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            raise validation(
                f"The request was rejected because the training job is in status {job['TrainingJobStatus']}."
            )
        self._records.update(
            TRAINING_JOB,
            job["TrainingJobName"],
            when={"TrainingJobStatus": "InProgress"},  # it may have ended since
            TrainingJobStatus="Stopping",
            LastModifiedTime=now(),
        )
        self._training_jobs.stop(job["TrainingJobName"])

    # Models

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record a model: an image and where its archives lie."""
        containers = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
        if len(containers) != 1:
            raise validation("local_sagemaker serves models of exactly one container. Give PrimaryContainer.")
        _check_image(containers[0].get("Image", ""), "tensorflow-inference")
        url = containers[0].get("ModelDataUrl", "")
        if not url:
            raise validation("local_sagemaker serves models that name their data in ModelDataUrl.")
        if containers[0].get("Mode") != "MultiModel" and not url.endswith(".tar.gz"):
            raise validation(f"ModelDataUrl {url!r} must name a .tar.gz archive, or Mode must be MultiModel.")
        return {"ModelArn": self._create(MODEL, request["ModelName"], "ModelName", "ModelArn", request)}

    def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a model."""
        return self._get(MODEL, request["ModelName"])

    def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of models."""
        return self._list(MODEL, request, "Models", name="ModelName")

    def delete_model(self, request: dict[str, Any]) -> None:
        """Forget a model."""
        self._delete(MODEL, request["ModelName"])

    # Endpoint configurations

    def create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record an endpoint configuration."""
        for variant in request["ProductionVariants"]:
            if "ModelName" not in variant:
                raise validation("local_sagemaker serves production variants that name a model.")
            self._get(MODEL, variant["ModelName"])
            if "ServerlessConfig" in variant:
                raise validation(
                    "local_sagemaker has no serverless inference. Give InstanceType and InitialInstanceCount."
                )
        name = request["EndpointConfigName"]
        return {"EndpointConfigArn": self._create(CONFIG, name, "EndpointConfigName", "EndpointConfigArn", request)}

    def describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return an endpoint configuration."""
        return self._get(CONFIG, request["EndpointConfigName"])

    def list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of endpoint configurations."""
        return self._list(CONFIG, request, "EndpointConfigs", name="EndpointConfigName")

    def delete_endpoint_config(self, request: dict[str, Any]) -> None:
        """Forget an endpoint configuration."""
        self._delete(CONFIG, request["EndpointConfigName"])

    # Endpoints

    def create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record an endpoint and bring it into service."""
        self._get(CONFIG, request["EndpointConfigName"])
        fields = request | {"EndpointStatus": "Creating"}
        resource = self._create(ENDPOINT, request["EndpointName"], "EndpointName", "EndpointArn", fields)
        self._endpoints.create(request["EndpointName"])
        return {"EndpointArn": resource}

    def describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return an endpoint with its production variants."""
        endpoint = self._get(ENDPOINT, request["EndpointName"])
        config = self._records.get(CONFIG, endpoint["EndpointConfigName"])
        if config and endpoint["EndpointStatus"] == "InService":
            endpoint["ProductionVariants"] = [_variant_summary(item) for item in config["ProductionVariants"]]
        return endpoint

    def list_endpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of endpoints."""
        return self._list(ENDPOINT, request, "Endpoints", name="EndpointName", status="EndpointStatus")

    def delete_endpoint(self, request: dict[str, Any]) -> None:
        """Take an endpoint out of service."""
        endpoint = self._get(ENDPOINT, request["EndpointName"])
        if endpoint["EndpointStatus"] != "Deleting":
            self._records.delete(TAGS, endpoint["EndpointArn"])
            self._endpoints.delete(request["EndpointName"])

    # Tags

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add tags to a resource."""
        return {"Tags": self._tag(request["ResourceArn"], request["Tags"])}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a resource's tags."""
        return {"Tags": (self._records.get(TAGS, request["ResourceArn"]) or {"Tags": []})["Tags"]}

    def delete_tags(self, request: dict[str, Any]) -> None:
        """Remove tags by key."""
        kept = [tag for tag in self.list_tags(request)["Tags"] if tag["Key"] not in request["TagKeys"]]
        self._records.put(TAGS, request["ResourceArn"], {"Tags": kept})

    # What the actions share

    def _arn(self, kind: str, name: str) -> str:
        return arn("sagemaker", f"{_ARN_TYPES[kind]}/{name.lower()}", region=self._region)

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        document = self._records.get(kind, name)
        if document is None:
            raise validation(f'Could not find {_TITLES[kind]} "{self._arn(kind, name)}".')
        return document

    def _create(self, kind: str, name: str, name_key: str, arn_key: str, request: dict[str, Any]) -> str:
        resource = self._arn(kind, name)
        if self._records.get(kind, name):
            raise validation(f'Cannot create already existing {_TITLES[kind]} "{resource}".')
        document = {key: value for key, value in request.items() if key != "Tags"}
        moment = now()
        times = {"CreationTime": moment, "LastModifiedTime": moment}
        self._records.put(kind, name, document | {name_key: name, arn_key: resource} | times)
        self._tag(resource, request.get("Tags", []))
        return resource

    def _delete(self, kind: str, name: str) -> None:
        self._get(kind, name)
        self._records.delete(kind, name)
        self._records.delete(TAGS, self._arn(kind, name))

    def _tag(self, resource: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
        current = {tag["Key"]: tag for tag in self.list_tags({"ResourceArn": resource})["Tags"]}
        merged = list((current | {tag["Key"]: tag for tag in tags}).values())
        if len(merged) > 50:
            raise validation(f"A resource can have at most 50 tags, and {resource} would have {len(merged)}.")
        if merged:
            self._records.put(TAGS, resource, {"Tags": merged})
        return merged

    def _list(self, kind: str, request: dict[str, Any], key: str, *, name: str, status: str = "") -> dict[str, Any]:
        documents = [document for _, document in self._records.all(kind)]
        page, token = listing.page(documents, request, name=name, status=status)
        return {key: page} | ({"NextToken": token} if token else {})


def supported_actions() -> list[str]:
    """Return the names of the supported actions, sorted."""
    methods = {name for name in vars(Actions) if not name.startswith("_") and name != "call"}
    names = service_model.operation_names()
    return sorted(name for name in names if xform_name(name) in methods)


def _check_image(image: str, wanted: str) -> None:
    repository = image.rpartition("/")[2].partition(":")[0]
    if repository != wanted:
        raise validation(
            f"local_sagemaker cannot run the image {image!r}. It stands in for AWS's {wanted} images; "
            "get their addresses from sagemaker.core.image_uris.retrieve."
        )


def _check_training_job(request: dict[str, Any]) -> None:
    """Refuse what a training job needs here, or cannot have, before it starts."""
    for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if member not in request:
            raise validation(f"local_sagemaker runs training jobs with their own instances. Give {member}.")
    if "InstanceType" not in request["ResourceConfig"]:
        raise validation("local_sagemaker runs training jobs on instances of one type. Give InstanceType.")
    algorithm = request["AlgorithmSpecification"]
    _check_image(algorithm.get("TrainingImage", ""), "tensorflow-training")
    if not algorithm.get("ContainerEntrypoint"):
        raise validation(
            "local_sagemaker runs jobs that name a ContainerEntrypoint, as the SDK's ModelTrainer does. "
            "Give one, or use ModelTrainer with source_code."
        )
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as error:
            raise validation(f"The Regex of metric {definition['Name']!r} is not valid: {error}.") from error
        if not groups:
            raise validation(f"The Regex of metric {definition['Name']!r} has no group ( ) for the value.")
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType") != "S3Prefix" or not source["S3Uri"].startswith("s3://"):
            raise validation(
                f"local_sagemaker reads channels from an S3 prefix, and channel {channel['ChannelName']!r} has "
                "another source. Give S3DataSource with S3DataType=S3Prefix and an S3Uri that starts with s3://."
            )
    if not request["OutputDataConfig"]["S3OutputPath"].startswith("s3://"):
        raise validation("S3OutputPath must start with s3://.")


def _variant_summary(variant: dict[str, Any]) -> dict[str, Any]:
    weight = variant.get("InitialVariantWeight", 1.0)
    count = variant.get("InitialInstanceCount", 1)
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }

"""Actions that only record: on models, endpoint configurations, and the tags of every kind of resource."""

from typing import Any

from local_sagemaker import s3_addresses
from local_sagemaker.actions.resources import Resources, check_image
from local_sagemaker.errors import validation
from local_sagemaker.hosting.endpoints import CONFIG, MODEL
from local_sagemaker.settings import Settings


class RecordedActions:
    """What endpoints are made of, and what resources are called."""

    def __init__(self, resources: Resources) -> None:
        """Work on the recorded resources."""
        self._resources = resources

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record a model: an image and where its archives lie."""
        containers = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
        if len(containers) != 1:
            raise validation("local_sagemaker serves models of exactly one container. Give PrimaryContainer.")
        check_image(containers[0].get("Image", ""), "tensorflow-inference")
        url = containers[0].get("ModelDataUrl", "")
        if not url:
            raise validation("local_sagemaker serves models that name their data in ModelDataUrl.")
        if containers[0].get("Mode") != "MultiModel" and not url.endswith(".tar.gz"):
            raise validation(f"ModelDataUrl {url!r} must name a .tar.gz archive, or Mode must be MultiModel.")
        try:
            s3_addresses.parse(url)
            Settings().limited_by(containers[0].get("Environment", {}))
        except ValueError as error:
            raise validation(str(error)) from None
        return {"ModelArn": self._resources.create(MODEL, request["ModelName"], request)}

    def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a model."""
        return self._resources.get(MODEL, request["ModelName"])

    def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of models."""
        return self._resources.list(MODEL, request, "Models")

    def delete_model(self, request: dict[str, Any]) -> None:
        """Forget a model."""
        self._resources.delete(MODEL, request["ModelName"])

    def create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record an endpoint configuration."""
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) < len(names):
            raise validation("The names of production variants must be unique within an endpoint configuration.")
        for variant in request["ProductionVariants"]:
            if "ModelName" not in variant:
                raise validation("local_sagemaker serves production variants that name a model.")
            self._resources.get(MODEL, variant["ModelName"])
            if "InstanceType" not in variant:
                raise validation("local_sagemaker serves production variants on instances. Give InstanceType.")
        return {"EndpointConfigArn": self._resources.create(CONFIG, request["EndpointConfigName"], request)}

    def describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return an endpoint configuration."""
        return self._resources.get(CONFIG, request["EndpointConfigName"])

    def list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of endpoint configurations."""
        return self._resources.list(CONFIG, request, "EndpointConfigs")

    def delete_endpoint_config(self, request: dict[str, Any]) -> None:
        """Forget an endpoint configuration."""
        self._resources.delete(CONFIG, request["EndpointConfigName"])

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add tags to a resource."""
        return {"Tags": self._resources.tag(request["ResourceArn"], request["Tags"])}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a resource's tags."""
        return {"Tags": self._resources.tags(request["ResourceArn"])}  # at most 50, the smallest page there is

    def delete_tags(self, request: dict[str, Any]) -> None:
        """Remove tags by key."""
        resource = request["ResourceArn"]
        kept = [tag for tag in self._resources.tags(resource) if tag["Key"] not in request["TagKeys"]]
        self._resources.put_tags(resource, kept)

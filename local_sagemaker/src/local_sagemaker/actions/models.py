"""Actions on models."""

from typing import Any

from local_sagemaker import s3_addresses
from local_sagemaker.actions.resources import Resources, check_image
from local_sagemaker.errors import validation
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.settings import Settings


class ModelActions:
    """``CreateModel`` and its kin."""

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

"""Actions on endpoint configurations."""

from typing import Any

from local_sagemaker.actions.resources import Resources
from local_sagemaker.errors import validation
from local_sagemaker.hosting.endpoints import CONFIG, MODEL


class EndpointConfigActions:
    """``CreateEndpointConfig`` and its kin."""

    def __init__(self, resources: Resources) -> None:
        """Work on the recorded resources."""
        self._resources = resources

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
        name = request["EndpointConfigName"]
        resource = self._resources.create(CONFIG, name, request)
        return {"EndpointConfigArn": resource}

    def describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return an endpoint configuration."""
        return self._resources.get(CONFIG, request["EndpointConfigName"])

    def list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of endpoint configurations."""
        return self._resources.list(CONFIG, request, "EndpointConfigs")

    def delete_endpoint_config(self, request: dict[str, Any]) -> None:
        """Forget an endpoint configuration."""
        self._resources.delete(CONFIG, request["EndpointConfigName"])

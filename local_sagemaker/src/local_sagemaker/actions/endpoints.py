"""Actions on endpoints."""

from typing import Any

from local_sagemaker.actions.resources import TAGS, Resources
from local_sagemaker.errors import validation
from local_sagemaker.hosting.endpoints import CONFIG, ENDPOINT, MODEL, Endpoints
from local_sagemaker.records import now

_CHANGEABLE = ("DesiredWeight", "DesiredInstanceCount")  # of a variant, and kept by RetainAllVariantProperties


class EndpointActions:
    """``CreateEndpoint`` and its kin."""

    def __init__(self, resources: Resources, endpoints: Endpoints) -> None:
        """Create the actions over the serving endpoints."""
        self._resources = resources
        self._endpoints = endpoints

    def create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Record an endpoint and bring it into service."""
        plans = self._plans(request["EndpointConfigName"])
        fields = request | {"EndpointStatus": "Creating", "Fleet": plans}
        resource = self._resources.create(ENDPOINT, request["EndpointName"], fields)
        self._endpoints.create(request["EndpointName"])
        return {"EndpointArn": resource}

    def describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return an endpoint with its production variants."""
        endpoint = self._resources.get(ENDPOINT, request["EndpointName"])
        if endpoint["EndpointStatus"] in ("InService", "Updating"):
            counts = self._endpoints.instance_counts(request["EndpointName"])
            endpoint["ProductionVariants"] = [_summary(plan, counts) for plan in endpoint["Fleet"]]
        if endpoint.get("PendingFleet"):
            endpoint["PendingDeploymentSummary"] = {
                "EndpointConfigName": endpoint["PendingConfigName"],
                "ProductionVariants": [_summary(plan, {plan["VariantName"]: 0}) for plan in endpoint["PendingFleet"]],
                "StartTime": endpoint["UpdateStartTime"],
            }
        return endpoint

    def list_endpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return summaries of endpoints."""
        return self._resources.list(ENDPOINT, request, "Endpoints", status="EndpointStatus")

    def update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Replace an endpoint's fleet by that of another configuration; all traffic is shifted at once."""
        name = request["EndpointName"]
        endpoint = self._changeable(name)
        plans = self._plans(request["EndpointConfigName"])
        if request.get("RetainAllVariantProperties"):
            excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", [])}
            current = {plan["VariantName"]: plan for plan in endpoint["Fleet"]}
            for plan in plans:
                kept = current.get(plan["VariantName"], plan)
                plan |= {member: kept[member] for member in _CHANGEABLE if member not in excluded}
        self._begin_update(
            name,
            PendingConfigName=request["EndpointConfigName"],
            PendingFleet=plans,
            UpdateStartTime=now(),
        )
        self._endpoints.update(name)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def update_endpoint_weights_and_capacities(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change weights and instance counts of an endpoint's variants."""
        name = request["EndpointName"]
        endpoint = self._changeable(name)
        plans = {plan["VariantName"]: dict(plan) for plan in endpoint["Fleet"]}
        for desired in request["DesiredWeightsAndCapacities"]:
            plan = plans.get(desired["VariantName"])
            if plan is None:
                raise validation(
                    f'The variant name(s) "{desired["VariantName"]}" is/are not present within endpoint configuration '
                    f'"{self._resources.arn(CONFIG, endpoint["EndpointConfigName"])}".'
                )
            if desired.get("DesiredInstanceCount", 1) < 1:
                raise validation("DesiredInstanceCount must be at least 1.")
            plan |= {key: desired[key] for key in _CHANGEABLE if key in desired}
        self._begin_update(name, Fleet=list(plans.values()))
        self._endpoints.rescale(name, endpoint["Fleet"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    def delete_endpoint(self, request: dict[str, Any]) -> None:
        """Take an endpoint out of service."""
        endpoint = self._resources.get(ENDPOINT, request["EndpointName"])
        self._refuse_while_in_progress(endpoint)
        if endpoint["EndpointStatus"] != "Deleting":
            self._resources.records.delete(TAGS, endpoint["EndpointArn"])
            self._endpoints.delete(request["EndpointName"])

    def _changeable(self, name: str) -> dict[str, Any]:
        endpoint = self._resources.get(ENDPOINT, name)
        self._refuse_while_in_progress(endpoint)
        if endpoint["EndpointStatus"] != "InService":
            raise validation(
                f'Cannot update endpoint "{endpoint["EndpointArn"]}" in status {endpoint["EndpointStatus"]}. '
                "Delete it, and create it again."
            )
        return endpoint

    def _begin_update(self, name: str, **changes: Any) -> None:
        changes |= {"EndpointStatus": "Updating", "LastModifiedTime": now(), "FailureReason": None}
        self._resources.records.update(ENDPOINT, name, **changes)

    def _refuse_while_in_progress(self, endpoint: dict[str, Any]) -> None:
        if endpoint["EndpointStatus"] in ("Creating", "Updating"):
            raise validation(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')

    def _plans(self, config_name: str) -> list[dict[str, Any]]:
        """Return what an endpoint needs to know of its configuration and models, which may be deleted later."""
        plans = []
        for variant in self._resources.get(CONFIG, config_name)["ProductionVariants"]:
            model = self._resources.get(MODEL, variant["ModelName"])
            container = model.get("PrimaryContainer") or model["Containers"][0]
            caching = container.get("MultiModelConfig", {}).get("ModelCacheSetting", "Enabled")
            plans.append(
                {
                    "VariantName": variant["VariantName"],
                    "DesiredWeight": variant.get("InitialVariantWeight", 1.0),
                    "DesiredInstanceCount": variant.get("InitialInstanceCount", 1),
                    "Image": container["Image"],
                    "ModelDataUrl": container["ModelDataUrl"],
                    "Mode": container.get("Mode", "SingleModel"),
                    "ModelCacheSetting": caching,
                    "Environment": container.get("Environment", {}),
                    "ResolutionTime": now(),
                }
            )
        return plans


def _summary(plan: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
    image = {"SpecifiedImage": plan["Image"], "ResolvedImage": plan["Image"], "ResolutionTime": plan["ResolutionTime"]}
    return {
        "VariantName": plan["VariantName"],
        "DeployedImages": [image],
        "CurrentWeight": plan["DesiredWeight"],
        "DesiredWeight": plan["DesiredWeight"],
        "CurrentInstanceCount": counts.get(plan["VariantName"], plan["DesiredInstanceCount"]),
        "DesiredInstanceCount": plan["DesiredInstanceCount"],
    }

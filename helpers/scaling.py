"""Auto scaling of an endpoint's instances, and alarms on its metrics.

Application Auto Scaling keeps the calls per instance and minute near a target; see "Automatic scaling of Amazon
SageMaker AI models" in the SageMaker developer guide.
"""

from typing import Any

from helpers.aws.endpoint_metrics import METRICS
from helpers.session import Connection

VARIANT = "AllTraffic"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
# What tells that an endpoint is in trouble: metric, statistic, comparison, threshold, and in words.
ALARMS = {
    "misses": ("ModelCacheHit", "Average", "LessThanThreshold", 0.8, "more than a fifth of the calls load their model"),
    "loading": ("ModelLoadingWaitTime", "Average", "GreaterThanThreshold", 2e6, "calls wait over 2 s for their model"),
    "failures": ("Invocation5XXErrors", "Sum", "GreaterThanThreshold", 0, "calls fail"),
}


def resource_id(endpoint_name: str) -> str:
    """Return the name that Application Auto Scaling has for the endpoint's variant."""
    return f"endpoint/{endpoint_name}/variant/{VARIANT}"


def register(
    connection: Connection,
    endpoint_name: str,
    *,
    least: int,
    most: int,
    calls_per_minute: float,
    cool_down: tuple[int, int] = (60, 300),
) -> None:
    """Have the number of instances follow the traffic.

    Args:
        connection: The session.
        endpoint_name: An endpoint in service.
        least: Fewest instances.
        most: Most instances.
        calls_per_minute: Calls that one instance shall get in a minute: well below what it can bear.
        cool_down: Seconds to wait after instances were added, and after they were taken away. A new instance starts
            without models, so taking them away is worth more patience.

    Raises:
        ValueError: If `least` is above `most`, or there is no call to aim at.
    """
    if not 1 <= least <= most or calls_per_minute <= 0:
        raise ValueError(f"Scaling needs 1 ≤ least ≤ most and calls above 0, not {least}, {most}, {calls_per_minute}.")
    client = _client(connection)
    target = _target(endpoint_name)
    client.register_scalable_target(**target, MinCapacity=least, MaxCapacity=most)
    client.put_scaling_policy(
        **target,
        PolicyName=f"{endpoint_name}-calls-per-instance",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": float(calls_per_minute),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": cool_down[0],
            "ScaleInCooldown": cool_down[1],
        },
    )


def describe(connection: Connection, endpoint_name: str) -> dict[str, Any]:
    """Return what is registered for an endpoint: least, most, metric and target; empty if nothing is."""
    client = _client(connection)
    targets, policies = _targets(client, endpoint_name), _policies(client, endpoint_name)
    if not targets or not policies:
        return {}
    tracking = policies[0]["TargetTrackingScalingPolicyConfiguration"]
    return {
        "least": targets[0]["MinCapacity"],
        "most": targets[0]["MaxCapacity"],
        "metric": tracking["PredefinedMetricSpecification"]["PredefinedMetricType"],
        "target": tracking["TargetValue"],
    }


def put_alarms(connection: Connection, endpoint_name: str) -> dict[str, str]:
    """Create the alarms of ``ALARMS`` for an endpoint; they change colour in CloudWatch and notify nobody yet.

    Returns:
        What each alarm tells, by its name.
    """
    client = connection.boto.client("cloudwatch")
    told = {}
    for kind, (metric, statistic, comparison, threshold, words) in ALARMS.items():
        name = f"{endpoint_name}-{kind}"
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"{endpoint_name}: {words}.",
            Namespace=METRICS[metric],
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint_name},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            Statistic=statistic,
            Period=60,
            EvaluationPeriods=3,
            Threshold=threshold,
            ComparisonOperator=comparison,
            TreatMissingData="notBreaching",
        )
        told[name] = words
    return told


def list_alarms(connection: Connection, endpoint_name: str) -> list[str]:
    """Return the names of the endpoint's alarms."""
    answer = connection.boto.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{endpoint_name}-")
    return sorted(alarm["AlarmName"] for alarm in answer["MetricAlarms"])


def delete(connection: Connection, endpoint_name: str) -> None:
    """Delete the endpoint's scaling and alarms; what is gone already is passed over."""
    client = _client(connection)
    target = _target(endpoint_name)
    for policy in _policies(client, endpoint_name):
        client.delete_scaling_policy(**target, PolicyName=policy["PolicyName"])
    for _ in _targets(client, endpoint_name):
        client.deregister_scalable_target(**target)
    names = list_alarms(connection, endpoint_name)
    if names:
        connection.boto.client("cloudwatch").delete_alarms(AlarmNames=names)


def _client(connection: Connection) -> Any:
    return connection.boto.client("application-autoscaling")


def _target(endpoint_name: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource_id(endpoint_name),
        "ScalableDimension": DIMENSION,
    }


def _targets(client: Any, endpoint_name: str) -> list[dict[str, Any]]:
    ids = [resource_id(endpoint_name)]
    answer = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=ids)
    targets: list[dict[str, Any]] = answer["ScalableTargets"]
    return targets


def _policies(client: Any, endpoint_name: str) -> list[dict[str, Any]]:
    own = resource_id(endpoint_name)
    answer = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=own)
    policies: list[dict[str, Any]] = answer["ScalingPolicies"]
    return policies

"""Operate an endpoint: auto scaling of its instances, alarms on its metrics, and who may call which model.

Application Auto Scaling keeps the calls per instance and minute near a target; see "Automatic scaling of Amazon
SageMaker AI models" in the SageMaker developer guide.
"""

from collections.abc import Sequence
from typing import Any

from helpers.aws.connection import Connection
from helpers.aws.endpoint_metrics import VARIANT, address

# A new instance starts without models, so removing one takes more patience than adding one.
_SECONDS_AFTER_ADDING, _SECONDS_AFTER_REMOVING = 60, 300
# What tells that an endpoint is in trouble: metric, statistic, comparison, threshold, and in words.
ALARMS = {
    "misses": ("ModelCacheHit", "Average", "LessThanThreshold", 0.8, "more than a fifth of the calls load their model"),
    "loading": ("ModelLoadingWaitTime", "Average", "GreaterThanThreshold", 2e6, "calls wait over 2 s for their model"),
    "failures": ("Invocation5XXErrors", "Sum", "GreaterThanThreshold", 0, "calls fail"),
}


def scale(connection: Connection, endpoint_name: str, *, least: int, most: int, calls_per_minute: float) -> None:
    """Have the number of instances of an endpoint in service follow the traffic.

    Each instance shall get `calls_per_minute`, well below what it can bear.

    Raises:
        ValueError: If `least` is above `most`, or there is no call to aim at.
    """
    if not 1 <= least <= most or calls_per_minute <= 0:
        raise ValueError(f"Scaling needs 1 ≤ least ≤ most and calls above 0, not {least}, {most}, {calls_per_minute}.")
    client = connection.boto.client("application-autoscaling")
    target = _target(endpoint_name)
    client.register_scalable_target(**target, MinCapacity=least, MaxCapacity=most)
    client.put_scaling_policy(
        **target,
        PolicyName=f"{endpoint_name}-calls-per-instance",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": float(calls_per_minute),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": _SECONDS_AFTER_ADDING,
            "ScaleInCooldown": _SECONDS_AFTER_REMOVING,
        },
    )


def describe_scaling(connection: Connection, endpoint_name: str) -> dict[str, Any]:
    """Return what is registered for an endpoint: least, most, metric and target; empty if nothing is."""
    targets, policies = _registered(connection, endpoint_name)
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
    """Create the alarms of `ALARMS`; they notify nobody yet. Return what each tells, by its name."""
    client, told = connection.boto.client("cloudwatch"), {}
    for kind, (metric, statistic, comparison, threshold, words) in ALARMS.items():
        name = f"{endpoint_name}-{kind}"
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"{endpoint_name}: {words}.",
            **address(metric, endpoint_name),
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
    # The names of the alarms of `ENDPOINT-b` begin like those of `ENDPOINT`.
    own = {"Name": "EndpointName", "Value": endpoint_name}
    return sorted(alarm["AlarmName"] for alarm in answer["MetricAlarms"] if own in alarm.get("Dimensions", []))


def delete(connection: Connection, endpoint_name: str) -> None:
    """Delete the endpoint's scaling and alarms, as far as there are any."""
    client = connection.boto.client("application-autoscaling")
    targets, policies = _registered(connection, endpoint_name)
    for policy in policies:
        client.delete_scaling_policy(**_target(endpoint_name), PolicyName=policy["PolicyName"])
    if targets:
        client.deregister_scalable_target(**_target(endpoint_name))
    if names := list_alarms(connection, endpoint_name):
        connection.boto.client("cloudwatch").delete_alarms(AlarmNames=names)


def caller_policy(endpoint_arn: str, target_models: Sequence[str]) -> dict[str, Any]:
    """Return the IAM policy of a caller who may call some models of an endpoint and no others.

    IAM compares the condition key `sagemaker:TargetModel` with the target model of each call (AWS's service
    authorization reference of SageMaker). In a name, `*` stands for any text, as in "team-a/*".

    Raises:
        ValueError: If there is no name: a condition without a value is no condition.
    """
    if not target_models or not all(target_models):
        raise ValueError("Name at least one target model, such as 'team-a/*'.")
    statement = {
        "Sid": "CallTheseModels",
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": endpoint_arn,
        "Condition": {"StringLike": {"sagemaker:TargetModel": list(target_models)}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _target(endpoint_name: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _registered(connection: Connection, endpoint_name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the scalable targets and the scaling policies of an endpoint."""
    client, own = connection.boto.client("application-autoscaling"), _target(endpoint_name)["ResourceId"]
    targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[own])
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=own)
    return targets["ScalableTargets"], policies["ScalingPolicies"]

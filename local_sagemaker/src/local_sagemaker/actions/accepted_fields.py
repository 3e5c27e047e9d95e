"""The fields of requests that have an effect here, or that describe what has none on one machine; no other is taken.

AWS's model of its API grows with every botocore. A field that this table lacks is refused by its name, so that nobody
believes a setting to work that no code reads.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from local_sagemaker.actions import service_model
from local_sagemaker.errors import ServiceError, validation

_VPC = "VpcConfig.SecurityGroupIds VpcConfig.Subnets"
_TAGS = "Tags.Key Tags.Value"
_CONTAINER = "Image ModelDataUrl Mode Environment MultiModelConfig.ModelCacheSetting"
_LIST = "NameContains SortBy SortOrder MaxResults NextToken CreationTimeAfter CreationTimeBefore"
_LIST_BY_CHANGE = f"{_LIST} StatusEquals LastModifiedTimeAfter LastModifiedTimeBefore"
_S3_SOURCE = "DataSource.S3DataSource"


def _below(member: str, fields: str) -> str:
    return " ".join(f"{member}.{field}" for field in fields.split())


# Dotted paths; lists add nothing to a path. Network, keys, volumes and isolation are recorded and described alone, and
# so is what SDK v2 says of debugger, profiler and metrics whether they are used or not.
ACCEPTED = {
    "CreateModel": f"ModelName {_below('PrimaryContainer', _CONTAINER)} {_below('Containers', _CONTAINER)} "
    f"ExecutionRoleArn {_TAGS} {_VPC} EnableNetworkIsolation",
    "CreateEndpointConfig": "EndpointConfigName KmsKeyId "
    + _below("ProductionVariants", "VariantName ModelName InitialInstanceCount InstanceType InitialVariantWeight")
    + f" {_TAGS}",
    "CreateEndpoint": f"EndpointName EndpointConfigName {_TAGS}",
    "UpdateEndpoint": "EndpointName EndpointConfigName RetainAllVariantProperties "
    "ExcludeRetainedVariantProperties.VariantPropertyType",
    "UpdateEndpointWeightsAndCapacities": "EndpointName "
    + _below("DesiredWeightsAndCapacities", "VariantName DesiredWeight DesiredInstanceCount"),
    "CreateTrainingJob": "TrainingJobName HyperParameters RoleArn Environment EnableManagedSpotTraining "
    + _below(
        "AlgorithmSpecification",
        "TrainingImage TrainingInputMode ContainerEntrypoint ContainerArguments EnableSageMakerMetricsTimeSeries "
        "MetricDefinitions.Name MetricDefinitions.Regex",
    )
    + " "
    + _below(
        "InputDataConfig",
        f"ChannelName ContentType CompressionType RecordWrapperType InputMode {_S3_SOURCE}.S3DataType "
        f"{_S3_SOURCE}.S3Uri {_S3_SOURCE}.S3DataDistributionType",
    )
    + " OutputDataConfig.S3OutputPath OutputDataConfig.KmsKeyId OutputDataConfig.CompressionType "
    + _below("ResourceConfig", "InstanceType InstanceCount VolumeSizeInGB VolumeKmsKeyId")
    + " StoppingCondition.MaxRuntimeInSeconds StoppingCondition.MaxWaitTimeInSeconds "
    + f"CheckpointConfig.S3Uri CheckpointConfig.LocalPath {_TAGS} {_VPC} EnableNetworkIsolation "
    + "EnableInterContainerTrafficEncryption DebugHookConfig.S3OutputPath DebugHookConfig.LocalPath "
    + "ProfilerConfig.S3OutputPath ProfilerConfig.DisableProfiler",
    "ListModels": _LIST,
    "ListEndpointConfigs": _LIST,
    "ListEndpoints": _LIST_BY_CHANGE,
    "ListTrainingJobs": _LIST_BY_CHANGE,
    "ListTags": "ResourceArn MaxResults NextToken",
    "AddTags": f"ResourceArn {_TAGS}",
    "DeleteTags": "ResourceArn TagKeys",
    "InvokeEndpoint": "EndpointName Body ContentType Accept CustomAttributes TargetModel TargetVariant",
}


def check(action: str, request: dict[str, Any]) -> None:
    """Refuse, by their names, settings that would have no effect; one that is off, empty or none is no setting."""
    ignored = [_ignored(action, path) for path in _given(request, "")]
    if any(ignored):
        names = ", ".join(dict.fromkeys(filter(None, ignored)))
        raise validation(f"local_sagemaker would ignore {names} of {action}. Leave it out, or run this on AWS.")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse, by their names, headers of a call of an endpoint that would have no effect; in lower case."""
    ignored = [member for name, member in _ignored_headers().items() if headers.get(name)]
    if ignored:
        message = f"local_sagemaker would ignore {', '.join(ignored)} of InvokeEndpoint. Leave it out."
        raise ServiceError("ValidationError", message)


@functools.cache
def _ignored_headers() -> dict[str, str]:
    """Return the parameters of a call that would have no effect, by their header: found once, as every call asks."""
    known = service_model.runtime_headers()
    return {name: member for name, member in known.items() if _ignored("InvokeEndpoint", member)}


def _ignored(action: str, path: str) -> str:
    """Return the outermost member on a path that has no effect; empty if it has, as in a map that is accepted."""
    if action not in ACCEPTED:  # it takes a name, and nothing else
        return ""
    accepted = ACCEPTED[action].split()
    members = path.split(".")
    for count in range(1, len(members) + 1):
        part = ".".join(members[:count])
        if part in accepted:
            return ""
        if not any(field.startswith(f"{part}.") for field in accepted):
            return part
    return path


def _given(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _given(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for member in value:
            yield from _given(member, path)
    elif value not in (None, False, ""):
        yield path

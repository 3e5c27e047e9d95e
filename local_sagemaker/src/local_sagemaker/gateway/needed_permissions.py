"""What IAM would be asked for a request: the actions that its sender needs, and on which resources.

The emulator checks no permissions; its transcript records them, so that a policy can be compared with what a program
asks for. AWS lists actions and resources in its "Service Authorization Reference"; what is said here of the operations
that the series uses was written from knowledge of it, and no account has confirmed it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from local_sagemaker.settings import ACCOUNT_ID, PARTITION, arn

Permission = tuple[str, str]
_BUCKET, _OBJECT, _SOURCE, _EVERYTHING = "Bucket", "Key", "CopySource", "*"
# S3 names its actions otherwise than its operations. Without the right to list, S3 does not say that a key is missing.
_S3 = {
    "AbortMultipartUpload": [("AbortMultipartUpload", _OBJECT)],
    "CompleteMultipartUpload": [("PutObject", _OBJECT)],
    "CopyObject": [("GetObject", _SOURCE), ("PutObject", _OBJECT)],
    "CreateBucket": [("CreateBucket", _BUCKET)],
    "CreateMultipartUpload": [("PutObject", _OBJECT)],
    "DeleteObject": [("DeleteObject", _OBJECT)],
    "GetObject": [("GetObject", _OBJECT), ("ListBucket", _BUCKET)],
    "HeadBucket": [("ListBucket", _BUCKET)],
    "HeadObject": [("GetObject", _OBJECT), ("ListBucket", _BUCKET)],
    "ListBuckets": [("ListAllMyBuckets", _EVERYTHING)],
    "ListMultipartUploads": [("ListBucketMultipartUploads", _BUCKET)],
    "ListObjects": [("ListBucket", _BUCKET)],
    "ListObjectsV2": [("ListBucket", _BUCKET)],
    "PutObject": [("PutObject", _OBJECT)],
    "UploadPart": [("PutObject", _OBJECT)],
    "UploadPartCopy": [("GetObject", _SOURCE), ("PutObject", _OBJECT)],
}
_SAGEMAKER = {
    "TrainingJobName": "training-job",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}
_ROLES = ("RoleArn", "ExecutionRoleArn")


def permissions(service: str, operation: str, parameters: Mapping[str, Any], *, region: str) -> list[Permission]:
    """Return the IAM actions and resources that a request needs.

    Args:
        service: Name of the service as boto3 has it, such as ``"sagemaker-runtime"``.
        operation: Such as ``"InvokeEndpoint"``.
        parameters: Of the request.
        region: AWS Region of the request.

    Returns:
        Pairs of an action and an Amazon resource name, or ``"*"`` where the action knows no resources. Empty for what
        everybody may ask.
    """
    match service:
        case "s3":
            return list(_s3(operation, parameters))
        case "sagemaker" | "sagemaker-runtime":
            return list(_sagemaker(operation, parameters, region))
        case "sts" if operation == "GetCallerIdentity":
            return []
        case "iam":
            return [(f"iam:{operation}", _role(parameters))]
        case "logs":
            return [(f"logs:{operation}", _logs(parameters, region))]
        case "cloudwatch":
            return [(f"cloudwatch:{operation}", each) for each in _alarms(operation, parameters, region)]
    return [(f"{service}:{operation}", "*")]


def _s3(operation: str, parameters: Mapping[str, Any]) -> Iterator[Permission]:
    if operation == "DeleteObjects":
        keys = [item["Key"] for item in parameters["Delete"]["Objects"]]
        yield from (("s3:DeleteObject", _s3_arn(parameters["Bucket"], key)) for key in keys)
        return
    for action, part in _S3.get(operation, [(operation, _BUCKET)]):
        match part:
            case "*":
                resource = "*"
            case "CopySource":
                resource = _s3_arn(*parameters[part].partition("?")[0].lstrip("/").split("/", 1))
            case _:
                resource = _s3_arn(parameters["Bucket"], parameters["Key"] if part == _OBJECT else "")
        yield f"s3:{action}", resource
    if "SSEKMSKeyId" in parameters:
        yield "kms:GenerateDataKey", parameters["SSEKMSKeyId"]
        if operation == "CreateMultipartUpload":  # the parts are put together again
            yield "kms:Decrypt", parameters["SSEKMSKeyId"]


def _s3_arn(bucket: str, key: str = "") -> str:
    return f"arn:{PARTITION}:s3:::{bucket}" + (f"/{key}" if key else "")


def _sagemaker(operation: str, parameters: Mapping[str, Any], region: str) -> Iterator[Permission]:
    action = f"sagemaker:{operation}"
    named = [
        arn("sagemaker", f"{kind}/{parameters[key].lower()}", region=region)
        for key, kind in _SAGEMAKER.items()
        if key in parameters
    ]
    resources = named or [parameters.get("ResourceArn", "*")]
    yield from ((action, resource) for resource in resources)
    if operation.startswith("Create"):
        yield from (("iam:PassRole", parameters[key]) for key in _ROLES if key in parameters)
        if parameters.get("Tags"):
            yield "sagemaker:AddTags", resources[0]
        # So that the volumes of instances can be encrypted; for an endpoint IAM asks once CreateEndpoint names it.
        keys = (parameters.get("ResourceConfig", {}).get("VolumeKmsKeyId"), parameters.get("KmsKeyId"))
        yield from (("kms:CreateGrant", key) for key in keys if key)


def _role(parameters: Mapping[str, Any]) -> str:
    if "PolicySourceArn" in parameters:
        return str(parameters["PolicySourceArn"])
    return f"arn:{PARTITION}:iam::{ACCOUNT_ID}:role/{parameters.get('RoleName', '*')}"


def _logs(parameters: Mapping[str, Any], region: str) -> str:
    group = parameters.get("logGroupName", "*")
    stream = parameters.get("logStreamName")
    return arn("logs", f"log-group:{group}:" + (f"log-stream:{stream}" if stream else "*"), region=region)


def _alarms(operation: str, parameters: Mapping[str, Any], region: str) -> list[str]:
    if "Alarm" not in operation:
        return ["*"]
    names = parameters.get("AlarmNames") or [parameters.get("AlarmName", "*")]
    return [arn("cloudwatch", f"alarm:{name}", region=region) for name in names]

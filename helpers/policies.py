"""IAM policies: who may call which model of an endpoint, and who may publish models.

The condition key ``sagemaker:TargetModel`` is compared with the target model of each call; see "Actions, resources,
and condition keys for Amazon SageMaker" in the service authorization reference.
"""

from collections.abc import Sequence
from typing import Any

from helpers import s3

VERSION = "2012-10-17"


def call_models(endpoint_arn: str, target_models: Sequence[str]) -> dict[str, Any]:
    """Return the policy of a caller who may call some models of an endpoint and no others.

    Args:
        endpoint_arn: As ``DescribeEndpoint`` gives it.
        target_models: Names below the prefix; ``*`` stands for any text, as in ``"team-a/*"``.

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
    return {"Version": VERSION, "Statement": [statement]}


def publish_models(models_uri: str, names: str = "*") -> dict[str, Any]:
    """Return the policy of somebody who may publish, list and remove models, but not call or deploy any.

    Args:
        models_uri: S3 prefix of the archives.
        names: Which names below it; ``*`` stands for any text.
    """
    bucket, prefix = s3.split_uri(models_uri)
    arn = f"arn:aws:s3:::{bucket}"
    objects = {
        "Sid": "WriteTheseArchives",
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:DeleteObject"],
        "Resource": f"{arn}/{prefix}{names}",
    }
    listing = {
        "Sid": "ListThem",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": arn,
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
    }
    return {"Version": VERSION, "Statement": [objects, listing]}

"""The session of a notebook. Only this module chooses between Amazon SageMaker and the emulator."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import local_sagemaker
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from helpers.aws.connection import Account, Connection, read_account, sdk_session
from helpers.display.errors import show_as_sentences
from helpers.display.progress import Step

TARGETS = ("local", "aws")
_IN_STUDIO = Path("/opt/ml/metadata/resource-metadata.json")
# Who cannot reach AWS is to learn it in seconds.
_IMPATIENT = Config(connect_timeout=10, retries={"total_max_attempts": 2})
_ROLE = "a role that SageMaker may assume (SAGEMAKER_ROLE_ARN)"
_connected_to: str | None = None


def connect(
    target: str = "local", *, prefix: str = "multi-model-endpoint", account: Mapping[str, Any] | None = None
) -> Connection:
    """Connect to SageMaker.

    `"local"` starts the emulator if it is not running and points the SDK at it. `"aws"` uses the account, the Region
    and the role of Studio, or of the AWS profile (the role then from `SAGEMAKER_ROLE_ARN`). Everything in S3 is stored
    below `prefix`; `account` is what the account asks of jobs and endpoints, with the settings of `Account`.

    Raises:
        ValueError: If the target or a setting of the account is unknown, or this process is connected to the other
            target.
        RuntimeError: If there are no credentials, no Region or no role to use, or AWS does not take the credentials.
    """
    global _connected_to
    show_as_sentences()
    _check_target(target)
    settings = read_account(account or {})
    if _connected_to not in (None, target):
        raise ValueError(
            f"This kernel is connected to {_connected_to!r}, and AWS clients keep their address. "
            f"Restart the kernel to use {target!r}."
        )
    with Step("Connecting"):
        role_arn, bucket = _point_at_local() if target == "local" else (_find_role(), None)
        _connected_to = target
        return _open(target, prefix.strip("/"), settings, role_arn, bucket)


@contextlib.contextmanager
def running(target: str) -> Iterator[None]:
    """Keep the target running for a block: start the emulator if needed, and stop it then."""
    _check_target(target)
    starts = target == "local" and local_sagemaker.status() is None
    if starts:
        local_sagemaker.start()
    try:
        yield
    finally:
        if starts:
            local_sagemaker.stop()


def missing_on_aws() -> list[str]:
    """Return what the target `"aws"` lacks, in words, without asking AWS."""
    import boto3

    boto = boto3.Session()
    lacks = {
        "credentials of an AWS account (aws configure, or AWS_PROFILE)": boto.get_credentials() is None,
        "an AWS Region (AWS_DEFAULT_REGION)": boto.region_name is None,
        _ROLE: not (_IN_STUDIO.exists() or os.environ.get("SAGEMAKER_ROLE_ARN")),
    }
    return [what for what, is_missing in lacks.items() if is_missing]


def _check_target(target: str) -> None:
    if target not in TARGETS:
        raise ValueError(f"The target {target!r} is unknown. Set TARGET to one of: {', '.join(TARGETS)}.")


def _point_at_local() -> tuple[str, str]:
    server = local_sagemaker.start()
    # These would win over the emulator's address and credentials, or be sent along with them.
    foreign = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL_")
    for name in [name for name in os.environ if name.startswith(foreign)]:
        del os.environ[name]
    own = dict(server.environment)
    for name in ("NO_PROXY", "no_proxy"):  # the user's own exceptions stay
        own[name] = ",".join(filter(None, [os.environ.get(name), own[name]]))
    os.environ.update(own)
    account = server.role_arn.split(":")[4]
    return server.role_arn, f"sagemaker-{server.environment['AWS_REGION']}-{account}"


def _find_role() -> str | None:
    """Return the role of jobs and models on AWS, or None if the SDK knows it: in Studio, or if it is one's own.

    This asks AWS who the credentials belong to, before anything else does: later, a token that has expired would be an
    error of whatever was tried first.
    """
    import boto3

    missing = missing_on_aws()
    if missing not in ([], [_ROLE]):  # a role of one's own will do, and who that is can be asked now
        raise RuntimeError(f"The target 'aws' needs {', and '.join(missing)}. Without them, set TARGET to 'local'.")
    try:
        identity = boto3.client("sts", config=_IMPATIENT).get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        raise RuntimeError(
            f"AWS did not confirm your credentials: {str(error).rstrip('.')}. If they have expired, renew them "
            "(aws sso login, or aws configure); if AWS is out of reach, check the network. Then run this again."
        ) from error
    role_arn = os.environ.get("SAGEMAKER_ROLE_ARN")
    if role_arn and not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:role/.+", role_arn):
        raise RuntimeError(
            f"SAGEMAKER_ROLE_ARN is {role_arn!r}, which is not the ARN of a role (arn:aws:iam::…:role/…)."
        )
    # Roles of IAM Identity Center are assumed by people, not by SageMaker.
    is_role = ":assumed-role/" in identity and ":assumed-role/AWSReservedSSO_" not in identity
    if not (role_arn or is_role or _IN_STUDIO.exists()):
        raise RuntimeError(
            f"The target 'aws' needs {_ROLE}; {identity} is not one. notebooks/permissions/README.md creates one."
        )
    return role_arn


def _open(target: str, prefix: str, account: Account, role_arn: str | None, bucket: str | None) -> Connection:
    # Imported after the environment is set, because clients keep the address they first see.
    import boto3

    boto = boto3.Session()
    if bucket and role_arn:
        try:
            boto.client("s3").head_bucket(Bucket=bucket)
        except ClientError:
            boto.client("s3").create_bucket(Bucket=bucket)
    else:
        from sagemaker.core.helper.session_helper import get_execution_role

        sdk = sdk_session(boto, bucket)
        role_arn, bucket = role_arn or get_execution_role(sdk), sdk.default_bucket()
    local = target == "local"
    return Connection(
        target,
        boto.region_name,
        bucket,
        prefix,
        role_arn,
        where="on this machine (local_sagemaker)" if local else f"on Amazon SageMaker ({boto.region_name})",
        poll_seconds=0.5 if local else 10.0,
        account=account,
        boto=boto,
    )

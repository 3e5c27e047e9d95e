"""The IAM policies that the series needs on AWS, with your account filled in: `python -m helpers.permissions --help`.

The files in `notebooks/permissions` hold places such as ``<ACCOUNT>``. The tests compare them with every request that
the series makes of the stand-in.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "permissions"
# Each policy, and whose it is.
POLICIES = {
    "notebook_user": "for you, or for whatever role runs the notebooks",
    "execution_role": "for the role that SageMaker assumes to run training jobs and endpoints",
    "execution_role_trust": "says that SageMaker may assume that role",
    "kms_key": "for both of them, if the parameter ACCOUNT names a kms_key",
}
# How the values look; what else would be typed there by mistake ends in a policy that allows too much or nothing.
_VALUES = {
    "ACCOUNT": r"\d{12}",
    "REGION": r"[a-z]{2}(-[a-z]+)+-\d",
    "BUCKET": r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "PREFIX": r"[\w!.'()/-]*[\w!.'()-]",
    "ROLE": r"[\w+=,.@/-]+",
    "KEY": r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[A-Za-z0-9-]+",
}


def fill_in(
    name: str,
    *,
    account: str,
    region: str,
    role: str,
    bucket: str | None = None,
    prefix: str = "multi-model-endpoint",
    key: str | None = None,
) -> dict[str, Any]:
    """Return a policy with the values of an account in the places for them.

    Args:
        name: One of ``POLICIES``.
        account: AWS account id, twelve digits.
        region: AWS Region.
        role: Name of the execution role, with its path if it has one.
        bucket: S3 bucket; by default the one that the SageMaker SDK uses.
        prefix: S3 key prefix of the series, its parameter ``PREFIX``.
        key: ARN of a KMS key, for the policy that names one.

    Raises:
        ValueError: If there is no such policy, it needs a key, or a value cannot be what it should be.
    """
    if name not in POLICIES:
        raise ValueError(f"There is no policy {name!r}. There are: {', '.join(POLICIES)}.")
    bucket = bucket or f"sagemaker-{region}-{account}"
    values = {"ACCOUNT": account, "REGION": region, "BUCKET": bucket, "PREFIX": prefix.strip("/"), "ROLE": role}
    values |= {"KEY": key} if key else {}
    for place, value in values.items():
        if not re.fullmatch(_VALUES[place], value, re.ASCII):
            raise ValueError(f"{value!r} cannot be the {place.lower()}: it must match {_VALUES[place]}.")
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    if "<KEY>" in text and not key:
        raise ValueError(f"The policy {name} is about a KMS key. Name its ARN with --key.")
    policy: dict[str, Any] = _filled(json.loads(text), values)
    return policy


def _filled(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _filled(item, values) for key, item in part.items()}
    if isinstance(part, list):
        return [_filled(item, values) for item in part]
    return re.sub("<([A-Z]+)>", lambda place: values[place[1]], part)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a policy, ready for `aws iam`, and return the exit code: 0 done, 2 bad arguments."""
    listing = "\n".join(f"  {name}: {whose}" for name, whose in POLICIES.items())
    parser = argparse.ArgumentParser(
        prog="python -m helpers.permissions",
        description=f"Print an IAM policy of the series with your account filled in.\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("policy", choices=POLICIES)
    parser.add_argument("--account", required=True, help="twelve digits: aws sts get-caller-identity")
    parser.add_argument("--region", required=True, help="such as us-east-1")
    parser.add_argument("--role", required=True, help="name of the execution role")
    parser.add_argument("--bucket", help="default: sagemaker-<region>-<account>, as the SageMaker SDK has it")
    parser.add_argument("--prefix", default="multi-model-endpoint", help="S3 key prefix of the series")
    parser.add_argument("--key", help="ARN of the KMS key, for the policy kms_key")
    arguments = vars(parser.parse_args(argv))
    try:
        document = fill_in(arguments.pop("policy"), **arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

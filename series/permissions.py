"""The IAM policies that the series needs on AWS, with your account filled in: `python -m series.permissions --help`.

The files in `notebooks/permissions` hold places such as `<ACCOUNT>`. The tests compare them with every request that the
series makes of the emulator.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
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
# Each value, how it looks and what it is. A mistyped one could make a policy that allows too much or nothing.
_VALUES = {
    "account": (r"\d{12}", "twelve digits: aws sts get-caller-identity"),
    "region": (r"[a-z]{2}(-[a-z]+)+-\d", "such as us-east-1"),
    "role": (r"[\w+=,.@/-]+", "name of the execution role, with its path if it has one"),
    "bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "default: sagemaker-<region>-<account>, that of the SageMaker SDK"),
    "prefix": (r"[\w!.'()/-]*[\w!.'()-]", "S3 key prefix of the series; default: multi-model-endpoint"),
    "key": (r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[A-Za-z0-9-]+", "ARN of the KMS key, for the policy kms_key"),
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
    """Return one of `POLICIES` with the values of an account in the places for them.

    Raises:
        ValueError: If there is no such policy, it needs a key, or a value cannot be what it should be.
    """
    if name not in POLICIES:
        raise ValueError(f"There is no policy {name!r}. There are: {', '.join(POLICIES)}.")
    values = {"account": account, "region": region, "role": role, "prefix": prefix.strip("/")}
    values["bucket"] = f"sagemaker-{region}-{account}" if bucket is None else bucket
    values |= {} if key is None else {"key": key}
    for place, value in values.items():
        if not re.fullmatch(_VALUES[place][0], value, re.ASCII):
            raise ValueError(f"{value!r} cannot be the {place}: it must match {_VALUES[place][0]}.")
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    if "<KEY>" in text and "key" not in values:
        raise ValueError(f"The policy {name} is about a KMS key. Name its ARN with --key.")
    # No value that matches above has a character that JSON escapes.
    policy: dict[str, Any] = json.loads(re.sub("<([A-Z]+)>", lambda place: values[place[1].lower()], text))
    return policy


def main(argv: Sequence[str] | None = None) -> int:
    """Print a policy, ready for `aws iam`, and return the exit code: 0 done, 2 bad arguments."""
    listing = "\n".join(f"  {name}: {whose}" for name, whose in POLICIES.items())
    parser = argparse.ArgumentParser(
        prog="python -m series.permissions",
        description=f"Print an IAM policy of the series with your account filled in.\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("policy", choices=POLICIES)
    for name, (_, words) in _VALUES.items():
        parser.add_argument(f"--{name}", required=name in ("account", "region", "role"), help=words)
    arguments = vars(parser.parse_args(argv))
    try:
        print(json.dumps(fill_in(arguments.pop("policy"), **arguments), indent=2))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

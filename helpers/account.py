"""What an AWS account asks of all that runs in it: a private network, an encryption key, images of its own registry."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Account:
    """Settings of an account, as the parameter ``ACCOUNT`` of the notebooks gives them. An empty one is AWS's default.

    Attributes:
        subnets: Ids of the subnets of a VPC, Amazon's private network, in which jobs and endpoints run.
        security_groups: Ids of the security groups, its firewalls, that they get there.
        kms_key: ARN or id of the key that encrypts objects in S3 and the volumes of instances.
        training_image: Image in the place of AWS's TensorFlow training image.
        serving_image: Image in the place of AWS's TensorFlow inference image.
    """

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str = ""
    training_image: str = ""
    serving_image: str = ""

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse once something has been created, or would not apply everywhere.

        Raises:
            ValueError: If a setting cannot be what it should be.
        """
        for name, start in (("subnets", "subnet-"), ("security_groups", "sg-")):
            wrong = [item for item in getattr(self, name) if not item.startswith(start)]
            if wrong:
                raise ValueError(f"{name} takes ids that begin with {start}, not {', '.join(map(repr, wrong))}.")
        if bool(self.subnets) != bool(self.security_groups):
            missing = "security_groups" if self.subnets else "subnets"
            raise ValueError(f"A VPC takes subnets and security_groups. Name {missing} too, or neither of them.")
        # The volumes of training jobs take no alias, and policies name keys by their ARN.
        if self.kms_key and not re.fullmatch(r"(arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/)?[A-Za-z0-9-]+", self.kms_key):
            raise ValueError(
                f"kms_key takes the ARN or the id of a key, not {self.kms_key!r}. `aws kms describe-key --key-id "
                "alias/…` tells those of an alias."
            )

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Self:
        """Return the account that settings describe.

        Args:
            settings: Values by name; a name that is left out stands for AWS's default.

        Raises:
            ValueError: If there is no such setting, or its value cannot be what it should be.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in settings.items():
            if name not in defaults:
                close = difflib.get_close_matches(name, defaults, n=1)
                hint = f"Did you mean {close[0]}?" if close else f"It takes {', '.join(defaults)}."
                raise ValueError(f"ACCOUNT takes no setting {name!r}. {hint}")
            if value is None:  # a name in a YAML file with nothing behind it
                continue
            if isinstance(defaults[name], str):
                if not isinstance(value, str):
                    raise ValueError(f"{name} of ACCOUNT takes a text, not {value!r}.")
                given[name] = value
            else:
                if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                    raise ValueError(f"{name} of ACCOUNT takes a list of ids, not {value!r}.")
                given[name] = tuple(value)
        return cls(**given)

    @property
    def vpc(self) -> dict[str, list[str]]:
        """The VPC as arguments of the SDK's ``VpcConfig`` and ``Networking``; none without a VPC."""
        if not self.subnets:
            return {}
        return {"subnets": list(self.subnets), "security_group_ids": list(self.security_groups)}

    @property
    def object_encryption(self) -> dict[str, str]:
        """The key as extra arguments of an upload to S3; none without a key: S3 then uses one of its own."""
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}

"""A way to SageMaker: the account and what it asks of all that runs in it, and the places of the series in S3."""

import contextlib
import difflib
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

# AWS's own tests pair these two; there is no inference image 2.21.
_TENSORFLOW = {"training": "2.21", "inference": "2.20"}
# jsonschema, which the SDK imports, takes it if it is there, to check addresses in other scripts than Latin. It builds
# a parser at its import, which would take two fifths of the time of importing the SDK.
_SLOW_PARSER = "rfc3987_syntax"


@dataclass(frozen=True)
class Account:
    """What an AWS account asks of jobs and endpoints; without a setting, AWS's default holds."""

    # Ids of the subnets of a VPC, Amazon's private network, in which jobs and endpoints run
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()  # ids of the security groups, its firewalls, that they get there
    kms_key: str = ""  # ARN or id of the key that encrypts objects in S3 and the volumes of instances
    training_image: str = ""  # container image in the place of AWS's for training
    serving_image: str = ""  # container image in the place of AWS's for inference

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse once something has been created, or would not apply everywhere."""
        for name, start in (("subnets", "subnet-"), ("security_groups", "sg-")):
            ids = getattr(self, name)
            if not isinstance(ids, tuple) or not all(str(item).startswith(start) for item in ids):
                given = list(ids) if isinstance(ids, tuple) else ids
                raise ValueError(f"{name} of ACCOUNT takes a list of ids that begin with {start}, not {given!r}.")
        for name in ("kms_key", "training_image", "serving_image"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} of ACCOUNT takes a text, not {getattr(self, name)!r}.")
        if bool(self.subnets) != bool(self.security_groups):
            missing = "security_groups" if self.subnets else "subnets"
            raise ValueError(f"A VPC takes subnets and security_groups. Name {missing} too, or neither of them.")
        # The volumes of training jobs take no alias, and policies name keys by their ARN.
        if self.kms_key and not re.fullmatch(r"(arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/)?[A-Za-z0-9-]+", self.kms_key):
            raise ValueError(
                f"kms_key takes the ARN or the id of a key, not {self.kms_key!r}. `aws kms describe-key --key-id "
                "alias/…` tells those of an alias."
            )

    @property
    def vpc(self) -> dict[str, list[str]]:
        """The VPC as arguments of the SDK's `VpcConfig` and `Networking`; none without a VPC."""
        if not self.subnets:
            return {}
        return {"subnets": list(self.subnets), "security_group_ids": list(self.security_groups)}

    @property
    def object_encryption(self) -> dict[str, str]:
        """The key as extra arguments of an upload to S3; none without a key: S3 then uses one of its own."""
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}


def read_account(settings: Mapping[str, Any]) -> Account:
    """Return the account that the notebooks' parameter `ACCOUNT` describes; None stands for a default.

    Raises:
        ValueError: If there is no such setting, or its value cannot be what it should be.
    """
    names = [field.name for field in fields(Account)]
    for name in settings:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"It takes {', '.join(names)}."
            raise ValueError(f"ACCOUNT takes no setting {name!r}. {hint}")
    given = {name: value for name, value in settings.items() if value is not None}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Account(**values)


@dataclass(frozen=True)
class Connection:
    """A way to SageMaker, and the S3 locations that the notebooks hand over through."""

    target: str  # `"local"` or `"aws"`
    region: str
    bucket: str  # S3 bucket for everything the series stores
    prefix: str  # key prefix in that bucket
    role_arn: str  # execution role of jobs and models
    where: str  # a phrase that says where work runs, for titles and records
    poll_seconds: float  # seconds between two looks at something that takes long
    account: Account = field(repr=False)  # what the account asks of jobs and endpoints
    boto: Any = field(repr=False)  # boto3 session

    @cached_property
    def s3(self) -> Any:
        """boto3's resource of S3."""
        return self.boto.resource("s3")

    @cached_property
    def sagemaker(self) -> Any:
        """SageMaker Python SDK session, made when it is first wanted: importing the SDK takes seconds."""
        return sdk_session(self.boto, self.bucket)

    @property
    def base_uri(self) -> str:
        """S3 URI below which the series keeps everything."""
        return f"s3://{self.bucket}/{self.prefix}/"

    @property
    def jobs_uri(self) -> str:
        """S3 URI that training jobs write their artifacts to."""
        return f"{self.base_uri}jobs/"

    @property
    def models_uri(self) -> str:
        """S3 URI of the archives behind the multi-model endpoint."""
        return f"{self.base_uri}mme/"

    @property
    def user_models_uri(self) -> str:
        """S3 URI of the archives of personal models."""
        return f"{self.base_uri}mme-users/"

    @property
    def weights_uri(self) -> str:
        """S3 URI of the pretrained VGG16 base."""
        return f"{self.base_uri}weights/vgg16/"

    def dataset_uri(self, slug: str) -> str:
        """Return the S3 URI of a data set."""
        return f"{self.base_uri}datasets/{slug}/"

    def model_uri(self, slug: str) -> str:
        """Return the S3 URI of a published model archive."""
        return f"{self.models_uri}{slug}.tar.gz"

    def image(self, scope: str, instance_type: str) -> str:
        """Return the address of an image for an instance type's processor: the account's own, or AWS's of TensorFlow.

        `scope` is `"training"` or `"inference"`.
        """
        own = {"training": self.account.training_image, "inference": self.account.serving_image}[scope]
        if own:
            return own
        _ = self.sagemaker  # which imports the SDK quietly
        from sagemaker.core import image_uris

        options = {"version": _TENSORFLOW[scope], "py_version": "py312", "image_scope": scope}
        return str(image_uris.retrieve("tensorflow", self.region, instance_type=instance_type, **options))


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Have imports do without an optional module, unless it has been imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what Python takes for "cannot be imported"
    try:
        yield
    finally:
        del sys.modules[module]


def sdk_session(boto: Any, bucket: str | None) -> Any:
    """Return a session of the SageMaker Python SDK, whose own messages would drown a notebook's, and keep it quiet."""
    with warnings.catch_warnings(), _without(_SLOW_PARSER):
        warnings.simplefilter("ignore")
        from sagemaker.core.helper.session_helper import Session

        for name in ("sagemaker", "sagemaker.core", "sagemaker.train", "sagemaker.config"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return Session(boto_session=boto, default_bucket=bucket)

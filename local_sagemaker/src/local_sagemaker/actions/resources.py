"""What the actions share: names, lookups, pages and tags of the recorded resources."""

import builtins
import re
from typing import Any, NoReturn

from botocore import xform_name

from local_sagemaker.actions import listing
from local_sagemaker.errors import ServiceError, validation
from local_sagemaker.hosting.endpoints import CONFIG, ENDPOINT, MODEL
from local_sagemaker.records import Records, now
from local_sagemaker.settings import MAX_TAGS, arn, region_of
from local_sagemaker.training.job_status import KIND as TRAINING_JOB

TAGS = "tags"
_TITLES = {ENDPOINT: "endpoint", CONFIG: "endpoint configuration", MODEL: "model", TRAINING_JOB: "training job"}
_MEMBERS = {ENDPOINT: "Endpoint", CONFIG: "EndpointConfig", MODEL: "Model", TRAINING_JOB: "TrainingJob"}


class Resources:
    """The recorded resources of the account, as the actions see them."""

    def __init__(self, records: Records) -> None:
        """Work on the records."""
        self.records = records
        self.region = ""  # of the request being answered

    def arn(self, kind: str, name: str) -> str:
        """Return a resource's Amazon resource name."""
        return arn("sagemaker", f"{xform_name(_MEMBERS[kind], '-')}/{name.lower()}", region=self.region)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a resource of the Region being asked, or None."""
        document = self.records.get(kind, name)
        return document if document and self._is_here(kind, document) else None

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return a resource; that there is none is a ``ValidationException``."""
        document = self.find(kind, name)
        if document is None:
            raise validation(f'Could not find {_TITLES[kind]} "{self.arn(kind, name)}".')
        return document

    def create(self, kind: str, name: str, request: dict[str, Any]) -> str:
        """Record a new resource with its tags, and return its Amazon resource name.

        Raises:
            ServiceError: ``ValidationException`` if the name is taken, ``ResourceInUse`` if it is that of a job.
        """
        resource = self.arn(kind, name)
        for existing, document in self.records.all(kind):
            if existing.lower() == name.lower():  # they share their ARN
                self._refuse_taken(kind, document, resource)
        tags = _merged([], request.get("Tags", []), resource)
        document = {key: value for key, value in request.items() if key != "Tags"}
        moment = now()
        names = {f"{_MEMBERS[kind]}Name": name, f"{_MEMBERS[kind]}Arn": resource}
        self.records.put(kind, name, document | names | {"CreationTime": moment, "LastModifiedTime": moment})
        self.put_tags(resource, tags)
        return resource

    def _refuse_taken(self, kind: str, document: dict[str, Any], resource: str) -> NoReturn:
        if not self._is_here(kind, document):
            other = document[f"{_MEMBERS[kind]}Arn"]
            raise validation(f"local_sagemaker has one {_TITLES[kind]} of a name in all Regions, and there is {other}.")
        if kind == TRAINING_JOB:
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this "
                f"name already exists ({resource}).",
            )
        raise validation(f'Cannot create already existing {_TITLES[kind]} "{resource}".')

    def _is_here(self, kind: str, document: dict[str, Any]) -> bool:
        return region_of(document[f"{_MEMBERS[kind]}Arn"]) == self.region

    def delete(self, kind: str, name: str) -> None:
        """Forget a resource and its tags; that there is none is a ``ValidationException``."""
        self.get(kind, name)
        self.records.delete(kind, name)
        self.records.delete(TAGS, self.arn(kind, name))

    def tags(self, resource: str) -> list[dict[str, str]]:
        """Return the tags of a resource, given by its Amazon resource name."""
        tags: list[dict[str, str]] = (self.records.get(TAGS, resource) or {"Tags": []})["Tags"]
        return tags

    def tag(self, resource: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
        """Add tags to a resource and return all it has.

        Raises:
            ServiceError: ``ValidationException`` for more than 50 tags, or if there is no such resource.
        """
        known = (document.get(f"{member}Arn") for kind, member in _MEMBERS.items() for document in self._here(kind))
        if resource not in known:
            raise validation(f'Could not find resource "{resource}".')
        merged = _merged(self.tags(resource), tags, resource)
        self.put_tags(resource, merged)
        return merged

    def put_tags(self, resource: str, tags: list[dict[str, str]]) -> None:
        """Replace the tags of a resource."""
        if tags:
            self.records.put(TAGS, resource, {"Tags": tags})
        else:
            self.records.delete(TAGS, resource)

    def list(self, kind: str, request: dict[str, Any], key: str, *, status: str = "") -> dict[str, Any]:
        """Answer a List action of a kind."""
        page, token = listing.page(self._here(kind), request, name=f"{_MEMBERS[kind]}Name", status=status)
        return {key: page} | ({"NextToken": token} if token else {})

    def _here(self, kind: str) -> builtins.list[dict[str, Any]]:
        return [document for _, document in self.records.all(kind) if self._is_here(kind, document)]


def _merged(old: list[dict[str, str]], new: list[dict[str, str]], resource: str) -> list[dict[str, str]]:
    merged = {tag["Key"]: tag for tag in [*old, *new]}
    if len(merged) > MAX_TAGS:
        raise validation(f"A resource can have at most {MAX_TAGS} tags, and {resource} would have {len(merged)}.")
    return list(merged.values())


def check_image(image: str, wanted: str) -> None:
    """Refuse an image that the emulator does not run."""
    repository = re.split("[:@]", image.rpartition("/")[2])[0]  # of a tag or a digest
    if repository != wanted:
        raise validation(
            f"local_sagemaker cannot run the image {image!r}. It emulates AWS's {wanted} images. "
            "Get their addresses from sagemaker.core.image_uris.retrieve."
        )

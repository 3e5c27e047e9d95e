"""What the actions share: names, lookups, pages and tags of the recorded resources."""

import re
from typing import Any

from local_sagemaker.actions import listing
from local_sagemaker.errors import validation
from local_sagemaker.hosting.endpoints import CONFIG, ENDPOINT, MODEL
from local_sagemaker.records import Records, now
from local_sagemaker.settings import MAX_TAGS, arn
from local_sagemaker.training.job_status import KIND as TRAINING_JOB

TAGS = "tags"
_TITLES = {ENDPOINT: "endpoint", CONFIG: "endpoint configuration", MODEL: "model"}
_ARN_TYPES = {ENDPOINT: "endpoint", CONFIG: "endpoint-config", MODEL: "model", TRAINING_JOB: "training-job"}


class Resources:
    """The recorded resources of the account, as the actions see them."""

    def __init__(self, records: Records) -> None:
        """Work on the records."""
        self.records = records
        self.region = ""  # of the request being answered

    def arn(self, kind: str, name: str) -> str:
        """Return a resource's Amazon resource name."""
        return arn("sagemaker", f"{_ARN_TYPES[kind]}/{name.lower()}", region=self.region)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return a resource.

        Raises:
            ServiceError: ``ValidationException`` if there is none.
        """
        document = self.records.get(kind, name)
        if document is None:
            raise validation(f'Could not find {_TITLES[kind]} "{self.arn(kind, name)}".')
        return document

    def create(self, kind: str, name: str, name_key: str, arn_key: str, request: dict[str, Any]) -> str:
        """Record a new resource with its tags, and return its Amazon resource name.

        Raises:
            ServiceError: ``ValidationException`` if the name is taken.
        """
        resource = self.arn(kind, name)
        if any(existing.lower() == name.lower() for existing, _ in self.records.all(kind)):  # they share their ARN
            raise validation(f'Cannot create already existing {_TITLES[kind]} "{resource}".')
        tags = _merged([], request.get("Tags", []), resource)
        document = {key: value for key, value in request.items() if key != "Tags"}
        moment = now()
        times = {"CreationTime": moment, "LastModifiedTime": moment}
        self.records.put(kind, name, document | {name_key: name, arn_key: resource} | times)
        self.put_tags(resource, tags)
        return resource

    def delete(self, kind: str, name: str) -> None:
        """Forget a resource and its tags.

        Raises:
            ServiceError: ``ValidationException`` if there is none.
        """
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
        self._require(resource)
        merged = _merged(self.tags(resource), tags, resource)
        self.put_tags(resource, merged)
        return merged

    def _require(self, resource: str) -> None:
        arn_type, _, lower_name = resource.rpartition(":")[2].partition("/")
        kinds = [kind for kind, known in _ARN_TYPES.items() if known == arn_type]
        if not any(name.lower() == lower_name for kind in kinds for name, _ in self.records.all(kind)):
            raise validation(f'Could not find resource "{resource}".')

    def put_tags(self, resource: str, tags: list[dict[str, str]]) -> None:
        """Replace the tags of a resource."""
        if tags:
            self.records.put(TAGS, resource, {"Tags": tags})
        else:
            self.records.delete(TAGS, resource)

    def list(self, kind: str, request: dict[str, Any], key: str, *, name: str, status: str = "") -> dict[str, Any]:
        """Answer a List action of a kind."""
        documents = [document for _, document in self.records.all(kind)]
        page, token = listing.page(documents, request, name=name, status=status)
        return {key: page} | ({"NextToken": token} if token else {})


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

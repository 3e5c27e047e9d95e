"""Actions on the tags of every kind of resource."""

from typing import Any

from local_sagemaker.actions.resources import Resources


class TagActions:
    """``AddTags`` and its kin."""

    def __init__(self, resources: Resources) -> None:
        """Work on the recorded resources."""
        self._resources = resources

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add tags to a resource."""
        return {"Tags": self._resources.tag(request["ResourceArn"], request["Tags"])}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a resource's tags."""
        return {"Tags": self._resources.tags(request["ResourceArn"])}  # at most 50, the smallest page there is

    def delete_tags(self, request: dict[str, Any]) -> None:
        """Remove tags by key."""
        resource = request["ResourceArn"]
        kept = [tag for tag in self._resources.tags(resource) if tag["Key"] not in request["TagKeys"]]
        self._resources.put_tags(resource, kept)

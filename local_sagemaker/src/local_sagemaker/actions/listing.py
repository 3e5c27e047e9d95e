"""Filters, order and pages of the List actions."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from local_sagemaker.errors import validation


def page(
    documents: list[dict[str, Any]], request: dict[str, Any], *, name: str, status: str = ""
) -> tuple[list[dict[str, Any]], str]:
    """Return the page of all documents of a kind that a List request asks for, and the token of the next one, if any.

    ``name`` and ``status`` are the members with the name and the status. A token that no page gave is refused.
    """
    found = [document for document in documents if _matches(document, request, name, status)]
    order = request.get("SortBy", "CreationTime")
    member = {"Status": status, "Name": name}.get(order, order)
    descending = request.get("SortOrder", "Descending") == "Descending"
    found.sort(key=lambda document: (document[member], document[name]), reverse=descending)
    start = _position(request.get("NextToken", ""))
    end = start + request.get("MaxResults", 10)
    token = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(found) else ""
    return found[start:end], token


def _matches(document: dict[str, Any], request: dict[str, Any], name: str, status: str) -> bool:
    if request.get("NameContains", "").lower() not in document[name].lower():
        return False
    if status and request.get("StatusEquals", document[status]) != document[status]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        after, before = request.get(f"{member}After"), request.get(f"{member}Before")
        if after is not None and document[member] <= _moment(after):
            return False
        if before is not None and document[member] >= _moment(before):
            return False
    return True


def _moment(value: float | str) -> datetime:
    return datetime.fromtimestamp(float(value), UTC)


def _position(token: str) -> int:
    try:
        position = int(base64.urlsafe_b64decode(token)) if token else 0
        if position < 0:
            raise ValueError(token)
        return position
    except (binascii.Error, ValueError):
        raise validation("The NextToken is not valid. Use the one of the previous page.") from None

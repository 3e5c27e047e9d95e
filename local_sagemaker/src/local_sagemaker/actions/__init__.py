"""SageMaker's API actions: one method each, named as the action.

Requests are validated and responses shaped by botocore's own service model; the state is in SQLite.
"""

import json
from collections.abc import Callable
from typing import Any

from botocore import xform_name

from local_sagemaker.actions import accepted_fields, service_model
from local_sagemaker.actions.endpoints import EndpointActions
from local_sagemaker.actions.recorded import RecordedActions
from local_sagemaker.actions.resources import Resources
from local_sagemaker.actions.training_jobs import TrainingJobActions
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.records import Records
from local_sagemaker.training.training_jobs import TrainingJobs

Method = Callable[[dict[str, Any]], dict[str, Any] | None]
_PARTS = (TrainingJobActions, RecordedActions, EndpointActions)


class Actions:
    """The supported actions of the SageMaker API."""

    def __init__(self, records: Records, training_jobs: TrainingJobs, endpoints: Endpoints) -> None:
        """Create the API over its parts."""
        self._resources = Resources(records)
        parts = (
            TrainingJobActions(self._resources, training_jobs),
            RecordedActions(self._resources),
            EndpointActions(self._resources, endpoints),
        )
        self._methods: dict[str, Method] = {name: getattr(part, name) for part in parts for name in _names(type(part))}

    def call(self, action: str, body: bytes, *, region: str) -> bytes:
        """Answer a request of the JSON protocol to an action such as ``CreateModel``, in JSON.

        Raises:
            ServiceError: As AWS would answer, or ``UnsupportedOperation`` for an action the emulator lacks.
        """
        service_model.operation(action)
        method = self._methods.get(xform_name(action))
        if method is None:
            supported = ", ".join(supported_actions())
            raise ServiceError("UnsupportedOperation", f"local_sagemaker has no {action}. It supports: {supported}.")
        try:
            request = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise ServiceError("SerializationException", f"The request is no JSON: {error}") from error
        if not isinstance(request, dict):
            raise ServiceError("SerializationException", "The request must be a JSON object.")
        service_model.validate(action, request)
        accepted_fields.check(action, request)
        self._resources.region = region
        return json.dumps(service_model.shape_response(action, method(request) or {})).encode()


def supported_actions() -> list[str]:
    """Return the names of the supported actions, sorted."""
    methods = {name for part in _PARTS for name in _names(part)}
    return sorted(name for name in service_model.operation_names() if xform_name(name) in methods)


def _names(part: type) -> list[str]:
    return [name for name in vars(part) if not name.startswith("_")]

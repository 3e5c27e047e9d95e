"""An emulator of Amazon SageMaker on 127.0.0.1.

The unmodified SageMaker Python SDK, boto3 and the AWS CLI talk to it: moto answers S3, IAM, STS, CloudWatch and
CloudWatch Logs in the same process; training jobs really run, and multi-model endpoints really load, serve and unload
TensorFlow SavedModels. Start it with ``python -m local_sagemaker start``.

What a program may import is named here; everything else is the package's own and changes without notice.

The server:

- ``start(home=None, *, port=0)`` starts it in the background, or finds the one that runs, and returns its ``Status``;
- ``status(home=None)`` returns the ``Status`` of the running server, or None;
- ``stop(home=None)`` stops it and tells whether one was running; ``reset(home=None)`` deletes its state, too;
- ``DaemonError`` is raised if it cannot be started, reached or stopped.

The requests that a program makes:

- ``read_transcript(path)`` returns what a server recorded with ``LOCAL_SAGEMAKER_TRANSCRIPT=FILE``, one entry for each
  form of request, and ``write_transcript(entries, path)`` writes entries so that they can be kept and read again;
- ``permissions(service, operation, parameters, *, region)`` returns the IAM actions and resources that a request needs;
- ``validate(operation, parameters)`` checks a request to SageMaker against AWS's service model, patterns included, and
  raises ``ServiceError`` with every violation.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.actions.service_model import validate
    from local_sagemaker.daemon import DaemonError, Status, reset, start, status, stop
    from local_sagemaker.errors import ServiceError
    from local_sagemaker.gateway.needed_permissions import permissions
    from local_sagemaker.gateway.transcript import read as read_transcript
    from local_sagemaker.gateway.transcript import write as write_transcript

__all__ = [
    "DaemonError",
    "ServiceError",
    "Status",
    "permissions",
    "read_transcript",
    "reset",
    "start",
    "status",
    "stop",
    "validate",
    "write_transcript",
]

_PLACES = {
    **dict.fromkeys(("DaemonError", "Status", "reset", "start", "status", "stop"), "daemon"),
    "ServiceError": "errors",
    "permissions": "gateway.needed_permissions",
    "validate": "actions.service_model",
    "read_transcript": "gateway.transcript",
    "write_transcript": "gateway.transcript",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the containers and jobs of a server import this package, too, and need none of it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_PLACES[name]}")
    return getattr(module, name.removesuffix("_transcript"))

"""Lets the processes of a training job find each other by the names in ``SM_HOSTS``, as in SageMaker's network.

Every Python of a job imports this at its start. A name becomes the loopback address that ``LOCAL_SAGEMAKER_HOSTS``
gives it. What resolves names by itself, without Python's ``socket``, does not know them.
"""

import importlib.machinery
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Callable

_ADDRESSES: dict[object, str] = json.loads(os.environ.get("LOCAL_SAGEMAKER_HOSTS", "{}"))


def _address(host: object) -> object:
    name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else host
    return _ADDRESSES.get(name, host)


def _by_host(function: Callable[..., object]) -> Callable[..., object]:
    return lambda host, *arguments, **options: function(_address(host), *arguments, **options)


def _known(address: object) -> object:
    return (_address(address[0]), *address[1:]) if isinstance(address, tuple) and address else address


def _by_address(name: str) -> Callable[..., object]:
    function = getattr(socket.socket, name)
    return lambda self, *arguments: function(self, *arguments[:-1], _known(arguments[-1]))


if _ADDRESSES:
    for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, _name, _by_host(getattr(socket, _name)))
    for _name in ("bind", "connect", "connect_ex", "sendto"):
        setattr(socket.socket, _name, _by_address(_name))

# The environment may have a sitecustomize of its own, which this one hides.
_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would slow every start down
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", [path for path in sys.path if path != _here])
if _spec and _spec.loader:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))

"""Runs a serving container alone: ``python -m local_sagemaker.container --port 8080``."""

import argparse
import contextlib
import json
import logging
import os
import resource
import socket
import sys
from pathlib import Path

import uvicorn

from local_sagemaker.container.application import Application
from local_sagemaker.container.batches import BatchingOptions
from local_sagemaker.container.loaded_models import LoadedModels
from local_sagemaker.container.loader import Options
from local_sagemaker.settings import GIBIBYTE, RUNTIME_ENVIRONMENT


def main(arguments: list[str] | None = None) -> None:
    """Serve the container contract until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker.container", description=main.__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="port on 127.0.0.1")
    where.add_argument("--socket", help="path of a Unix socket")
    parser.add_argument("--memory-bytes", type=int, default=4 * GIBIBYTE, help="memory for weights (default: 4 GiB)")
    parser.add_argument("--invocation-seconds", type=float, default=60, help="limit of one call (default: 60)")
    parser.add_argument("--load-seconds", type=float, default=360, help="limit of an import of inference.py")
    where.add_argument("--wait", metavar="SOCKET", help="import TensorFlow, then take folder and options from a socket")
    options = parser.parse_args(arguments)
    if options.wait:
        options = parser.parse_args(_wait(options.wait))
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of each function of TensorFlow 1
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    os.environ.update(RUNTIME_ENVIRONMENT)  # for a container that runs alone
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where there is no limit that could be named
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each mapped model holds a file open
    try:
        batching = BatchingOptions.from_environment(os.environ)
    except ValueError as error:
        parser.error(str(error))
    limits = Options(
        memory_bytes=options.memory_bytes,
        invocation_seconds=options.invocation_seconds,
        load_seconds=options.load_seconds,
        sockets=Path(options.socket).parent if options.socket else None,
        universal_code=_universal_code(),
        batching=batching,
    )
    uvicorn.run(
        Application(LoadedModels(limits)),
        host="127.0.0.1",
        port=options.port or 0,
        uds=options.socket,
        lifespan="on",
        ws="none",  # a request to change to WebSocket is answered like any other
        access_log=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=3600,  # the platform keeps its connections open
    )


def _wait(path: str) -> list[str]:
    """Wait on a Unix socket for the order to become the container of an instance, and return its options."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        connection, _ = listener.accept()
        with connection, connection.makefile() as lines:
            order = json.loads(lines.readline())
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    options: list[str] = order["options"]
    return options


def _universal_code() -> Path | None:
    """Return the folder with the code for all models, which the platform has brought from S3."""
    named = all(os.environ.get(f"SAGEMAKER_MULTI_MODEL_UNIVERSAL_{part}") for part in ("BUCKET", "PREFIX"))
    return Path("code").absolute() if named else None


if __name__ == "__main__":
    main()

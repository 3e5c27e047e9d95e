"""Starts the ranks of a job on one of its instances, within the job: the counterpart of the SDK's own `mpi_driver.py`.

That one appends the whole environment to ``/etc/environment``, starts an SSH daemon and waits for files in ``/tmp``.
Here all instances are on one machine, and nothing of it is needed. Version 3 of the SDK leaves to the driver what to
run, from the variables that it has set; version 2 passes it as arguments.
"""

import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

RANKS = "LOCAL_SAGEMAKER_RANKS"  # the variables of each rank of this instance, as a list in JSON


def command() -> list[str]:
    """Return what each rank runs."""
    if len(sys.argv) > 1:
        program = sys.argv[1:]
    else:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        sdk = importlib.import_module("common.utils")  # which the SDK uploads with its drivers
        arguments = sdk.hyperparameters_to_cli_args(json.loads(os.environ["SM_HPS"]))
        program = ["python", os.environ["SM_ENTRY_SCRIPT"], *arguments]
    # So that an exception in one rank ends all of them.
    return [sys.executable, "-m", "mpi4py", *program[1:]] if program[0] == "python" else program


def main() -> int:
    """Run the ranks of this instance; return the exit code of the first that fails."""
    ranks = json.loads(os.environ.pop(RANKS))
    host = os.environ["SM_CURRENT_HOST"]
    if not ranks:
        print(
            f"WARNING: No rank of MPI runs on {host}: it idles, and on AWS it bills. One on each of N instances takes "
            'MPI(process_count_per_node=N, mpi_additional_options=["--map-by", "node"]).',
            flush=True,
        )
    processes = [subprocess.Popen(command(), env=os.environ | variables) for variables in ranks]
    codes: list[int] = []

    def wait(process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if code and not any(codes):
            rank = ranks[processes.index(process)]["OMPI_COMM_WORLD_RANK"]
            how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
            text = f"Rank {rank} of MPI on {host} ended {how}."
            print(text, flush=True)
            Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text(text)
            codes.append(code)
            for other in processes:
                other.kill()

    threads = [threading.Thread(target=wait, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())

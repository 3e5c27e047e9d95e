"""What a second instance brings: the same training with one and with two, each a process on this machine.

Both train `training_scripts/cifar_train.py` with the same batches, and each instance has the same number of
threads. Rounds alternate between them, so that a busy minute of the machine does not fall on one alone. Two instances
are faster only where the machine has the cores for both, and the seconds of one round compare with each other only.

    python benchmarks/two_instances.py --data FOLDER     # a folder with CIFAR-10 as train/ and test/
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import record  # noqa: E402
from helpers import datasets  # noqa: E402

COUNTS = (1, 2)


def run_job(count: int, *, data: Path, epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train with so many instances, each a process on an address of its own, and return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        # Linux answers at all of them, so each instance may use the same port.
        hosts = [f"127.21.0.{number + 1}" for number in range(count)]
        command = [sys.executable, ROOT / "training_scripts/cifar_train.py", "--epochs", str(epochs)]
        instances = []
        for host in hosts:
            output = Path(folder) / host
            variables = {"SM_HOSTS": json.dumps(hosts), "SM_CURRENT_HOST": host, "SM_CHANNEL_TRAINING": str(data)}
            variables |= {"SM_MODEL_DIR": str(output / "model"), "SM_OUTPUT_DATA_DIR": str(output / "data")}
            variables |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(threads))
            variables |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
            arguments = [*command, "--seed", str(seed)]
            instances.append(subprocess.Popen(arguments, env=os.environ | variables, stdout=subprocess.DEVNULL))
        if any([instance.wait() for instance in instances]):
            sys.exit("A worker failed; its error is above.")
        reports = Path(folder) / hosts[0] / "data"
        history, evaluation = (json.loads((reports / f"{name}.json").read_text()) for name in ("history", "evaluation"))
    return {
        "instances": count,
        "seed": seed,
        # The first epoch also builds the graph.
        "seconds": statistics.median(history["seconds"][1:]),
        "accuracy": evaluation["test"]["accuracy"],
    }


def run_all(*, data: Path, epochs: int, rounds: int, threads: int) -> Iterator[dict[str, Any]]:
    """Train with each number of instances in turn, round after round, and yield what came of each."""
    for seed in range(1, rounds + 1):
        for count in COUNTS:
            print(f"round {seed} of {rounds}: instances: {count}", file=sys.stderr, flush=True)
            yield run_job(count, data=data, epochs=epochs, seed=seed, threads=threads)


def summarize(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each number of instances: seconds of an epoch, their ratio, accuracy with its spread."""
    columns = {
        name: {count: [run[name] for run in runs if run["instances"] == count] for count in COUNTS}
        for name in ("seconds", "accuracy")
    }
    rows = []
    for count in COUNTS:
        pairs = zip(columns["seconds"][count], columns["seconds"][1], strict=True)
        accuracies = columns["accuracy"][count]
        spread = f" ± {statistics.stdev(accuracies):.3f}" if len(accuracies) > 1 else ""
        seconds, ratio = statistics.median(columns["seconds"][count]), statistics.median(a / b for a, b in pairs)
        rows.append([str(count), f"{seconds:.1f}", f"{ratio:.2f}", f"{statistics.mean(accuracies):.3f}{spread}"])
    return rows


def draw(runs: list[dict[str, Any]], *, source: str) -> Figure:
    """Draw seconds and accuracy of every run, by the number of instances."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    titles = {"seconds": "Seconds per epoch", "accuracy": "Test accuracy"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for seed in sorted({run["seed"] for run in runs}):
            own = [run for run in runs if run["seed"] == seed]
            axes.plot([run["instances"] for run in own], [run[name] for run in own], "o-", label=f"round {seed}")
        axes.set(title=title, xlabel="instances", xticks=COUNTS)
    axes.legend()
    figure.suptitle(source, fontsize=8)
    return figure


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", default="sample", help='"sample", or a folder with train/ and test/ (CIFAR-10)')
    parser.add_argument("--limit", type=int, default=5000, help="at most so many training images (default: 5000)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the images, at least 2 (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="trainings for each number of instances (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each instance (default: 1)")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs must be at least 2: the first epoch is not measured")

    options = {"epochs": arguments.epochs, "rounds": arguments.rounds, "threads": arguments.threads}
    dataset = datasets.load_cifar(arguments.data, limit=arguments.limit)
    with tempfile.TemporaryDirectory() as folder:
        datasets.save(dataset, folder)
        runs = list(run_all(data=Path(folder), **options))
    machine = record.describe_machine("tensorflow", "keras")
    results = {"machine": machine, "data": dataset.record, "weights": "none", **options, "runs": runs}
    path = record.write_results("two_instances", results, draw(runs, source=dataset.source))
    print(f"{dataset.description} {arguments.epochs} epochs, threads per instance: {arguments.threads}.\n")
    print(record.markdown_table(["instances", "seconds an epoch", "ratio to one", "test accuracy"], summarize(runs)))
    print(f"\nAll numbers: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

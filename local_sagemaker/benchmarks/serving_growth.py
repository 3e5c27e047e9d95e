"""Measure what a warm call takes with more and more models behind one endpoint.

`python benchmarks/serving_growth.py` uploads and calls 10, then 1,000, then 10,000 models of one architecture (a
small CNN of 0.1 MB; 100 distinct archives under distinct names) and measures at each step. Warm calls are measured in
turn with those of a second endpoint that always has ten models, so that the machine's moods do not count. It needs
about 5 GB of disk for 10,000 models. It writes `runs/benchmarks/serving_growth.json`.
"""

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import measuring
from local_sagemaker.archives import pack
from servers.endpoint import Endpoint
from serving_requests import Example, build_models, copy_model, weight_bytes

ARCHIVES = 100
ALWAYS = 10  # models of the second endpoint, and those that warm calls go to
GOAL = 1.10
EXAMPLE = Example("tiny", np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="10,1000,10000", help="numbers of models (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of warm calls at each step (default: 15)")
    parser.add_argument("--calls", type=int, default=100, help="warm calls of a round (default: 100)")
    options = parser.parse_args(arguments)
    options.models = sorted({max(ALWAYS, int(number)) for number in options.models.split(",")})
    return options


def add_models(endpoint: Endpoint, archives: Sequence[Path], names: range) -> None:
    """Upload models and call each once."""
    for number in names:
        endpoint.upload(f"m{number}", archives[number % len(archives)])
        endpoint.time_calls(f"m{number}", EXAMPLE, calls=1)
        if (number + 1) % 500 == 0:
            print(f"{number + 1} models", file=sys.stderr)


def measure_warm(growing: Endpoint, control: Endpoint, *, rounds: int, calls: int) -> dict[str, Any]:
    """Time warm calls to the same ten models of both endpoints, in turn."""
    measured: dict[str, list[float]] = {"growing": [], "control": []}
    pair = [("growing", growing), ("control", control)]
    for _ in range(rounds):
        seconds_of: dict[str, list[float]] = {"growing": [], "control": []}
        for number in range(ALWAYS):
            pair.reverse()  # none is always the first
            for name, endpoint in pair:
                seconds_of[name] += endpoint.time_calls(f"m{number}", EXAMPLE, calls=max(1, calls // ALWAYS))
        for name, seconds in seconds_of.items():
            measured[name].append(statistics.median(seconds))
    ratios = [ours / theirs for ours, theirs in zip(measured["growing"], measured["control"], strict=True)]
    return {"warm_p50_seconds": measured, "warm_ratio": statistics.median(ratios)}


def table(steps: Sequence[dict[str, Any]]) -> str:
    """Return the steps as a table in Markdown."""
    warm = [f"{statistics.median(step['warm_p50_seconds']['growing']) * 1000:.2f}" for step in steps]
    lines = [
        [f"warm call p50 ÷ with ten models (goal ≤ {GOAL})", *(f"{step['warm_ratio']:.3f}" for step in steps)],
        ["warm call p50, ms", *warm],
        ["memory of server and container, MiB", *(f"{step['memory_bytes'] / 2**20:.0f}" for step in steps)],
    ]
    return measuring.markdown_table(["models", *(f"{step['models']:,}" for step in steps)], lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results, print the table."""
    options = parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the servers are stopped
    measuring.OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=measuring.OUTPUT, prefix=".growth-") as folder, ExitStack() as stack:
        workplace = Path(folder)
        archives = _create_archives(workplace / "models", count=min(ARCHIVES, options.models[-1]))
        growing, control = (Endpoint(workplace / name) for name in ("growing", "control"))
        for endpoint in (growing, control):
            endpoint.workplace.mkdir()
            stack.callback(endpoint.stop)
            endpoint.start()
        add_models(control, archives, range(ALWAYS))
        steps, added = [], 0
        for models in options.models:
            add_models(growing, archives, range(added, models))
            added = models
            warm = measure_warm(growing, control, rounds=options.rounds, calls=options.calls)
            steps.append({"models": models, "memory_bytes": growing.memory_bytes()} | warm)
        document = {
            "machine": measuring.describe_machine("tensorflow", "boto3", "numpy"),
            "data": "a noise image",
            "weights": f"random, {weight_bytes(workplace / 'models' / 'tiny')} bytes a model",
            "goal": GOAL,
            "reached": steps[-1]["warm_ratio"] <= GOAL,
            "steps": steps,
        }
    path = measuring.write_results("serving_growth", document)
    print(table(steps))
    print(f"\nWritten to {path}.", file=sys.stderr)


def _create_archives(folder: Path, *, count: int) -> list[Path]:
    print(f"Writing {count} archives", file=sys.stderr)
    build_models(folder, "tiny")
    copies = copy_model(folder / "tiny", folder / "copies", copies=count)
    archives = [folder / f"{copy.name}.tar.gz" for copy in copies]
    for copy, archive in zip(copies, archives, strict=True):
        pack(copy, archive)
    return archives


if __name__ == "__main__":
    main()

"""Measure what a call, a listing and the memory are with more and more models behind one endpoint.

`python benchmarks/serving_growth.py` uploads and calls 10, then 1,000, then 10,000 models of one architecture (a
small CNN of 0.1 MB; 100 distinct archives under distinct names) and measures at each step. Warm calls are measured in
turn with those of a second endpoint that always has ten models, so that the machine's moods do not count. It needs
about 5 GB of disk for 10,000 models. It writes `runs/benchmarks/serving_growth.json` and `serving_growth.png`.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import measuring
from local_sagemaker.archives import pack
from local_sagemaker.settings import Settings
from servers.endpoint import BUCKET, ENDPOINT, Endpoint
from serving_load import Connection, http_request
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


def add_models(endpoint: Endpoint, archives: Sequence[Path], names: range) -> dict[str, float]:
    """Upload models and call each once; return the medians of both, in seconds."""
    uploads, first_calls = [], []
    for number in names:
        started = time.perf_counter()
        endpoint.upload(f"m{number}", archives[number % len(archives)])
        uploads.append(time.perf_counter() - started)
        first_calls += endpoint.time_calls(f"m{number}", EXAMPLE, calls=1)
        if (number + 1) % 500 == 0:
            print(f"{number + 1} models", file=sys.stderr)
    if not uploads:
        return {}
    return {"upload_seconds": statistics.median(uploads), "first_call_seconds": statistics.median(first_calls)}


def measure_warm(growing: Endpoint, control: Endpoint, *, rounds: int, calls: int, models: int) -> dict[str, Any]:
    """Time warm calls to the same ten models of both endpoints, in turn, and to any model of the growing one."""
    before = growing.memory_bytes()
    measured: dict[str, list[float]] = {"growing": [], "control": [], "any_model": []}
    generator = np.random.default_rng(0)
    share = max(1, calls // ALWAYS)
    pair = [("growing", growing), ("control", control)]
    for _ in range(rounds):
        seconds_of: dict[str, list[float]] = {"growing": [], "control": []}
        for number in range(ALWAYS):
            pair.reverse()  # none is always the first
            for name, endpoint in pair:
                seconds_of[name] += endpoint.time_calls(f"m{number}", EXAMPLE, calls=share)
        for name, _ in pair:
            measured[name].append(statistics.median(seconds_of[name]))
        chosen = generator.integers(0, models, calls)
        seconds = [growing.time_calls(f"m{number}", EXAMPLE, calls=1)[0] for number in chosen]
        measured["any_model"].append(statistics.median(seconds))
    ratios = [ours / theirs for ours, theirs in zip(measured["growing"], measured["control"], strict=True)]
    asked = rounds * (ALWAYS * share + calls)
    return {
        "warm_p50_seconds": measured,
        "warm_ratio": statistics.median(ratios),
        "memory_growth_bytes_per_call": (growing.memory_bytes() - before) / asked,
    }


def measure_listings(endpoint: Endpoint) -> dict[str, float]:
    """Time what lists or routes, in seconds."""
    paginator = endpoint.s3.get_paginator("list_objects_v2")
    container = Connection(next(Settings(home=endpoint.home).temporary.iterdir()))
    try:
        listed = container.exchange(http_request("GET", "/models"))
        name = listed.split(b'"', 2)[1].decode()
        direct = http_request("POST", f"/models/{name}/invoke", EXAMPLE.rest())
        calls = {
            "ListObjectsV2, ten keys": lambda: endpoint.s3.list_objects_v2(Bucket=BUCKET, MaxKeys=10),
            "ListObjectsV2, all keys": lambda: list(paginator.paginate(Bucket=BUCKET)),
            "GET /models of the container": lambda: container.exchange(http_request("GET", "/models")),
            "ListEndpoints": endpoint.sagemaker.list_endpoints,
            "DescribeEndpoint": lambda: endpoint.sagemaker.describe_endpoint(EndpointName=ENDPOINT),
        }
        seconds = {what: _median_seconds(call) for what, call in calls.items()}
        warm = statistics.median(container.time(direct, calls=200))
    finally:
        container.close()
    whole = statistics.median(endpoint.time_calls("m0", EXAMPLE, calls=200))
    return seconds | {"routing (the whole call less the container's)": whole - warm}


def plot(steps: Sequence[dict[str, Any]]) -> Figure:
    """Draw the warm call against the one with ten models, the listings, and the memory, over the number of models."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    warm, listings, memory = figure.subplots(1, 3)
    numbers = [step["models"] for step in steps]
    warm.plot(numbers, [step["warm_ratio"] for step in steps], marker="o")
    warm.axhline(GOAL, color="black", linewidth=0.8, linestyle="--")
    warm.set(ylabel="p50 of a warm call ÷ with ten models", ylim=(0, 1.5))
    for what in steps[0]["listings"]:
        listings.plot(numbers, [step["listings"][what] * 1000 for step in steps], marker="o", label=what)
    listings.set(yscale="log", ylabel="ms")
    listings.legend(fontsize="x-small")
    memory.plot(numbers, [step["memory_bytes"] / 2**20 for step in steps], marker="o")
    memory.set(ylabel="memory of server and container, MiB", ylim=0)
    for axes in (warm, listings, memory):
        axes.set(xscale="log", xlabel="models behind the endpoint")
    return figure


def table(steps: Sequence[dict[str, Any]]) -> str:
    """Return the steps as a table in Markdown."""
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        f"warm call p50 ÷ with ten models (goal ≤ {GOAL})": lambda step: f"{step['warm_ratio']:.3f}",
        "warm call p50, ms": lambda step: f"{statistics.median(step['warm_p50_seconds']['growing']) * 1000:.2f}",
        "warm call of any model p50, ms": lambda step: (
            f"{statistics.median(step['warm_p50_seconds']['any_model']) * 1000:.2f}"
        ),
        "memory growth a call, bytes": lambda step: f"{step['memory_growth_bytes_per_call']:.0f}",
        "memory of server and container, MiB": lambda step: f"{step['memory_bytes'] / 2**20:.0f}",
        "first call p50, ms": lambda step: f"{step['first_call_seconds'] * 1000:.1f}",
        "upload p50, ms": lambda step: f"{step['upload_seconds'] * 1000:.1f}",
    }
    lines = [[what, *(value(step) for step in steps)] for what, value in rows.items()]
    for what in steps[0]["listings"]:
        lines.append([f"{what}, ms", *(f"{step['listings'][what] * 1000:.2f}" for step in steps)])
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
            step = {"models": models} | add_models(growing, archives, range(added, models))
            added = models
            step |= measure_warm(growing, control, rounds=options.rounds, calls=options.calls, models=models)
            steps.append(step | {"listings": measure_listings(growing), "memory_bytes": growing.memory_bytes()})
        document = {
            "machine": measuring.describe_machine("tensorflow", "boto3", "numpy"),
            "data": "a noise image",
            "weights": f"random, {weight_bytes(workplace / 'models' / 'tiny')} bytes a model",
            "goal": GOAL,
            "reached": steps[-1]["warm_ratio"] <= GOAL,
            "steps": steps,
        }
    path = measuring.write_results("serving_growth", document, plot(steps))
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


def _median_seconds(call: Callable[[], Any], *, times: int = 7) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()

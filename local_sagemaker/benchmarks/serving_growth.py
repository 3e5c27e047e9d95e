"""What a warm call takes with more and more models behind one endpoint: small CNNs of one architecture, 0.1 MB each.

Warm calls are measured in turn with those of a second endpoint that always has ten models, so that the machine's moods
do not count. Ten thousand models need about 5 GB of disk.
"""

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from local_sagemaker.archives import pack
from servers.endpoint import Endpoint
from serving_bench import Bench
from serving_requests import Example, build_models, copy_model

STEPS = (10, 1_000, 10_000)
ARCHIVES = 100  # distinct ones, under distinct names
ALWAYS = 10  # models of the second endpoint, and those that warm calls go to
CALLS = 100  # of a round
EXAMPLE = Example("tiny", np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def measure_growth(bench: Bench) -> dict[str, Any]:
    """Return what warm calls take at each step, and the memory of server and container."""
    folder = bench.workplace / "growth"
    build_models(folder, "tiny")
    archives = [folder / f"{number}.tar.gz" for number in range(ARCHIVES)]
    for copy, archive in zip(copy_model(folder / "tiny", folder, copies=ARCHIVES), archives, strict=True):
        pack(copy, archive)
    steps: dict[str, Any] = {}
    with ExitStack() as stack:
        growing, control = (Endpoint(folder / name) for name in ("growing", "control"))
        for endpoint in (growing, control):
            stack.callback(endpoint.stop)
            endpoint.start()
        _add(control, archives, range(ALWAYS))
        added = 0
        for models in STEPS:
            _add(growing, archives, range(added, models))
            added = models
            steps[str(models)] = {"memory_bytes": growing.memory_bytes()} | _warm(bench, growing, control)
    return steps


def _add(endpoint: Endpoint, archives: Sequence[Path], names: range) -> None:
    for number in names:
        endpoint.upload(f"m{number}", archives[number % len(archives)])
        endpoint.time_calls(f"m{number}", EXAMPLE, calls=1)
        if (number + 1) % 500 == 0:
            print(f"growth: {number + 1} models", file=sys.stderr)


def _warm(bench: Bench, growing: Endpoint, control: Endpoint) -> dict[str, Any]:
    """Time warm calls to the same ten models of both endpoints, in turn."""
    pair, medians = [growing, control], ([], [])
    for _ in range(2 * bench.rounds):
        seconds: dict[Endpoint, list[float]] = {growing: [], control: []}
        for number in range(ALWAYS):
            pair.reverse()  # none is always the first
            for endpoint in pair:
                seconds[endpoint] += endpoint.time_calls(f"m{number}", EXAMPLE, calls=CALLS // ALWAYS)
        for median, measured in zip(medians, seconds.values(), strict=True):
            median.append(statistics.median(measured))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*medians, strict=True))
    return {"growing_p50_seconds": medians[0], "control_p50_seconds": medians[1], "warm_ratio": ratio}

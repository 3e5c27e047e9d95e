"""What many models take: memory of each copy, after its unload, and of a thousand; time of warm calls beside them.

Warm calls of an endpoint with more and more models, small CNNs of one architecture of 0.1 MB each, are measured in turn
with those of a second one that always has ten, so that the machine's moods do not count. Ten thousand models need about
5 GB of disk.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from local_sagemaker import memory
from local_sagemaker.archives import pack
from servers.container import Container
from servers.endpoint import Endpoint
from servers.peers import RayServe
from servers.server import HttpServer, Server
from serving_bench import Bench
from serving_load import run_load
from serving_requests import Example, build_models, copy_model, weight_bytes

WARMING_CONNECTIONS = 16
SETTLING_SECONDS = 1
STEPS = (10, 1_000, 10_000)
ARCHIVES = 100  # distinct ones, under distinct names
ALWAYS = 10  # models of the second endpoint, and those that warm calls go to
CALLS = 100  # of a round
EXAMPLE = Example("tiny", np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def measure_memory(bench: Bench) -> dict[str, Any]:
    """Load copies into fresh servers that hold the first of their architecture, call each, and unload them."""
    results: dict[str, Any] = {}
    for case, count in {"json": 20, "vgg100": 3}.items() if bench.share == 1 else (("json", 3),):
        example = bench.examples[case]
        model = example.model
        copies = copy_model(bench.models[model], bench.workplace / f"memory-{model}", copies=count)
        weights = sum(map(weight_bytes, copies))
        for server in bench.servers.values():
            if isinstance(server, (RayServe, Endpoint)):
                continue  # neither can be told to unload
            print(f"memory: {model}, {server.name}", file=sys.stderr)
            with bench.fresh(type(server), f"memory-{model}") as fresh:
                before, loaded, after = _grow_and_shrink(fresh, bench.models[model], copies, example)
            results.setdefault(model, {})[server.name] = {
                "per_copy_ratio": (loaded - before) / weights,
                "left_share": (after - before) / (loaded - before),
            }
    return results


def measure_thousand(bench: Bench) -> dict[str, Any]:
    """Hold 1,000 distinct small models in one container, each called once."""
    count = 1000
    print(f"thousand: writing {count} models", file=sys.stderr)
    copies = copy_model(bench.models["small"], bench.workplace / "thousand", copies=count)
    example = bench.examples["json"]
    with bench.fresh(Container, "thousand") as container:
        for index, folder in enumerate(copies):
            container.load(f"m{index}", folder)
            container.time_calls(f"m{index}", example, calls=1)
            if (index + 1) % 100 == 0:
                print(f"thousand: {index + 1} of {count}", file=sys.stderr)
        return {"models": count, "anonymous_bytes": anonymous_bytes(container)}


def anonymous_bytes(server: Server) -> int | None:
    """Return the anonymous memory of a server's processes, or None where the system does not tell."""
    measured = [memory.measure(str(process.pid)) for process in server.processes()]
    return None if None in measured else sum(usage.anonymous for usage in measured)


def measure_growth(bench: Bench) -> dict[str, Any]:
    """Return what warm calls take at each step, and the memory of server and container."""
    folder = bench.workplace / "growth"
    build_models(folder, "tiny")
    archives = [folder / f"{number}.tar.gz" for number in range(ARCHIVES)]
    for copy, archive in zip(copy_model(folder / "tiny", folder, copies=ARCHIVES), archives, strict=True):
        pack(copy, archive)
    steps: dict[str, Any] = {}
    with ExitStack() as stack:
        growing, control = (stack.enter_context(Endpoint(folder / name)) for name in ("growing", "control"))
        _add(control, archives, range(ALWAYS))
        added = 0
        for models in STEPS:
            _add(growing, archives, range(added, models))
            added = models
            steps[str(models)] = {"memory_bytes": growing.memory_bytes()} | _warm(bench, growing, control)
    return steps


def _grow_and_shrink(server: Server, first: Path, copies: list[Path], example: Example) -> tuple[int, int, int]:
    """Return the memory before the copies are loaded, when they have answered, and after their unload.

    Before, the first model is asked over many connections, and the copies come and go once, so that what a server's
    threads keep for themselves is not counted as the copies'.
    """
    server.load("first", first)
    server.time_calls("first", example, calls=5)
    if isinstance(server, HttpServer):
        run_load(server.port, server.request("first", example), connections=WARMING_CONNECTIONS, seconds=3)
    for index, folder in enumerate(copies):
        server.load(f"warming-{index}", folder)
        server.time_calls(f"warming-{index}", example, calls=2)
        server.unload(f"warming-{index}")
    before = _settled(server)
    for index, folder in enumerate(copies):
        server.load(f"copy-{index}", folder)
        server.time_calls(f"copy-{index}", example, calls=2)
    loaded = _settled(server)
    for index in range(len(copies)):
        server.unload(f"copy-{index}")
    return before, loaded, _settled(server)


def _settled(server: Server) -> int:
    """Return a server's memory a moment after it was asked for something; some give it back in the background."""
    time.sleep(SETTLING_SECONDS)
    return server.memory_bytes()


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

"""The memory that models take: of each copy, after its unload, and of a thousand."""

import sys
import time
from pathlib import Path
from typing import Any

from servers.container import Container
from servers.endpoint import Endpoint
from servers.peers import RayServe
from servers.server import HttpServer, Server
from serving_bench import Bench
from serving_load import run_load
from serving_requests import Example, copy_model, weight_bytes

MEBIBYTE = 1024 * 1024
WARMING_CONNECTIONS = 16
SETTLING_SECONDS = 1


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
    total = 0
    for process in server.processes():
        rollup = Path(f"/proc/{process.pid}/smaps_rollup")
        if not rollup.exists():
            return None
        lines = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
        total += int(lines["Anonymous"].split()[0]) * 1024
    return total


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

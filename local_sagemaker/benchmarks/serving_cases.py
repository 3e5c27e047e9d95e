"""What the serving benchmark measures: single calls, calls through boto3, many connections, cold starts.

In each round every server is measured once, in a new order, so that whatever else the machine does meets all of them.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from servers.container import Container
from servers.endpoint import Endpoint, StaticAnswers
from servers.in_process import InProcess
from servers.server import Server
from serving_bench import Bench
from serving_load import run_load
from serving_models import measure_growth, measure_memory, measure_thousand
from serving_requests import Example, copy_model

CONNECTIONS = 8
CALLS = {"json": 200, "jpeg": 200, "vgg100": 10, "vgg224": 5}
WITH_JSON = "in-process TensorFlow and JSON"
IN_TURN = "static answer and in-process call in turn"


def measure_calls(bench: Bench, case: str) -> dict[str, Any]:
    """Time one call after the other, and what processor time it takes."""
    example, calls = bench.examples[case], max(2, round(CALLS[case] * bench.share))
    results: dict[str, Any] = {}
    for server in bench.in_turn(case):
        server.time_calls(example.model, example, calls=2)
        before = server.cpu_seconds()
        seconds = server.time_calls(example.model, example, calls=calls)
        cpu = (server.cpu_seconds() - before) / calls
        _append(results, server.name, p50_seconds=statistics.median(seconds), cpu_seconds=cpu)
        if isinstance(server, InProcess):
            seconds = server.time_calls(example.model, example, calls=calls, with_json=True)
            _append(results, WITH_JSON, p50_seconds=statistics.median(seconds))
    return results


def measure_boto3(bench: Bench) -> dict[str, Any]:
    """Time calls through boto3, of the endpoint and of a server that only answers, and in-process calls.

    The last two are measured again call by call in turn, as whoever does both would make them: what one of them leaves
    in the processor's caches the other then pushes out, as the client, the server and the container do to each other.
    """
    example, calls = bench.examples["json"], max(2, round(CALLS["json"] * bench.share))
    endpoint, in_process = bench.servers.get(Endpoint.name), bench.servers[InProcess.name]
    if not isinstance(endpoint, Endpoint):
        raise ValueError("The case boto3 needs the endpoint. Leave --quick out.")
    results: dict[str, Any] = {}
    with bench.fresh(StaticAnswers, "boto3") as static:
        runtime = endpoint.client("sagemaker-runtime", endpoint_url=f"http://127.0.0.1:{static.port}")
        timers: dict[str, Callable[..., list[float]]] = {
            InProcess.name: in_process.time_calls,
            Endpoint.name: endpoint.time_boto3_calls,
            static.name: partial(endpoint.time_boto3_calls, runtime=runtime),
        }
        for number in range(bench.rounds):
            print(f"boto3: round {number + 1} of {bench.rounds}", file=sys.stderr)
            for name in bench.shuffler.sample(list(timers), len(timers)):
                timers[name]("small", example, calls=2)
                _append(results, name, p50_seconds=statistics.median(timers[name]("small", example, calls=calls)))
            both = [
                sum(timers[name]("small", example, calls=1)[0] for name in (static.name, InProcess.name))
                for _ in range(calls)
            ]
            _append(results, IN_TURN, p50_seconds=statistics.median(both))
    return results


def measure_throughput(bench: Bench) -> dict[str, Any]:
    """Ask over eight connections at once, and over one just before."""
    example, seconds = bench.examples["json"], max(0.3, 3 * bench.share)
    calls = max(2, round(CALLS["json"] * bench.share / 2))
    results: dict[str, Any] = {}
    for server in bench.in_turn("throughput"):
        if isinstance(server, InProcess):
            continue
        warm = statistics.median(server.time_calls("small", example, calls=calls))
        request = server.request("small", example)
        per_second, latencies = run_load(server.port, request, connections=CONNECTIONS, seconds=seconds)
        p99 = statistics.quantiles(latencies, n=100, method="inclusive")[98]
        _append(results, server.name, per_second=per_second, warm_p50_seconds=warm, p99_seconds=p99)
    return results


def measure_cold(bench: Bench) -> dict[str, Any]:
    """Time the first call of models whose architecture the servers know, with `tf.saved_model.load` beside it.

    "loaded" is from an unpacked folder that the server sees for the first time, "loaded again" after an unload, and
    "from the archive" through the endpoint, with its download.
    """
    example = bench.examples["json"]
    rounds = max(2, min(bench.rounds, 5))
    copies = copy_model(bench.models["small"], bench.workplace / "cold", copies=rounds * len(bench.servers))
    results: dict[str, Any] = {}
    for number, server in enumerate(bench.in_turn("cold", rounds=rounds)):
        name, folder = f"cold-{number}", copies[number]
        if isinstance(server, InProcess):
            _append(results, server.name, saved_model_load=server.load(name, folder))
            server.unload(name)
        elif isinstance(server, Endpoint):
            server.load(name, folder)
            seconds = server.time_calls(name, example, calls=1)[0]
            _append(results, server.name, from_the_archive=seconds)
        else:
            _append(results, server.name, loaded=_load_and_call(server, name, folder, example))
            if isinstance(server, Container):
                server.unload(name)
                _append(results, server.name, loaded_again=_load_and_call(server, name, folder, example))
    return results


CASES: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    **{case: lambda bench, case=case: measure_calls(bench, case) for case in CALLS},
    "boto3": measure_boto3,
    "throughput": measure_throughput,
    "cold": measure_cold,
    "memory": measure_memory,
    "thousand": measure_thousand,
    "growth": measure_growth,
}


def _load_and_call(server: Server, name: str, folder: Path, example: Example) -> float:
    started = time.perf_counter()
    server.load(name, folder)
    server.time_calls(name, example, calls=1)
    return time.perf_counter() - started


def _append(results: dict[str, Any], name: str, **values: float) -> None:
    for key, value in values.items():
        results.setdefault(name, {}).setdefault(key, []).append(value)

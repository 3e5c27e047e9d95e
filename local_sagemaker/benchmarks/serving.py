"""Compare ways to serve many TensorFlow models: in-process, this project's endpoint, what people would pick instead.

`python benchmarks/serving.py` builds an environment for each peer (minutes, once), starts all servers, checks
that they answer alike, and measures them in turn. It prints each goal beside what was measured, and writes
`runs/benchmarks/serving.json`. Leave the machine alone meanwhile.
"""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import serving_report
from servers.container import Container
from servers.endpoint import Endpoint
from servers.in_process import InProcess
from servers.peers import BentoML, MLServer, MultiModelServer, Peer, RayServe
from servers.server import Server
from serving_bench import Bench
from serving_cases import CASES
from serving_requests import build_models, create_examples

PEERS: dict[str, type[Peer]] = {peer.package: peer for peer in (MLServer, RayServe, BentoML, MultiModelServer)}
QUICK_CASES = ["json", "jpeg", "throughput"]
USUAL_CASES = [case for case in CASES if case != "growth"]  # which takes an hour
OUTPUT = Path(__file__).resolve().parents[1] / "runs" / "benchmarks"


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how often each server is measured (default: 7)")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="what is measured (default: all but growth)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="the others (default: all)")
    parser.add_argument("--quick", action="store_true", help="a look at in-process and container alone: proves nothing")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 7)
    options.cases = options.cases or (QUICK_CASES if options.quick else USUAL_CASES)
    if options.peers is None:
        options.peers = [] if options.quick else list(PEERS)
    return options


def start_servers(bench: Bench, options: argparse.Namespace, stack: ExitStack) -> dict[str, str]:
    """Start the servers and load the models; return those that are missing, and why."""
    missing = {}
    kinds: list[type[Server]] = [InProcess, Container, *([] if options.quick else [Endpoint])]
    for kind in [*kinds, *(PEERS[name] for name in options.peers)]:
        print(f"Starting {kind.name}", file=sys.stderr)
        server = kind(bench.workplace / kind.__name__)
        try:
            _start(server, bench, stack)
        except (OSError, RuntimeError) as error:
            if not isinstance(server, Peer):
                raise
            missing[kind.name] = str(error)
            print(f"{kind.name} is left out: {error}", file=sys.stderr)
            continue
        bench.servers[kind.name] = server
    return missing


def check_equal_outputs(bench: Bench) -> None:
    """Raise an AssertionError if a server's probabilities are not the in-process ones."""
    for example in bench.examples.values():
        if example.model in bench.models:
            expected = bench.servers[InProcess.name].probabilities(example.model, example)
            for name, server in bench.servers.items():
                found = server.probabilities(example.model, example)
                np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=f"{name} answers differently.")


def main() -> None:
    """Measure, write the results, print the tables."""
    options = parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the servers are stopped
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUTPUT, prefix=".serving-") as folder, ExitStack() as stack:
        bench = _prepare(Path(folder), options)
        missing = start_servers(bench, options, stack)
        document: dict[str, Any] = {
            "machine": serving_report.describe_machine("tensorflow", "keras", "boto3", "numpy"),
            "rounds": options.rounds,
            "quick": options.quick,
            "servers": {name: {"settings": s.settings, "versions": s.versions} for name, s in bench.servers.items()},
            "missing": missing,
            "cases": {},
        }
        check_equal_outputs(bench)
        try:
            for case in options.cases:
                document["cases"][case] = CASES[case](bench)
        finally:  # what was measured is kept, whatever happens to the rest
            document["goals"] = serving_report.compare_with_goals(document["cases"])
            path = OUTPUT / ("serving-quick.json" if options.quick else "serving.json")
            path.write_text(json.dumps(document, indent=2) + "\n")
    print(serving_report.goals_table(document["goals"]))
    print()
    print(serving_report.servers_table(document["cases"], list(bench.servers), missing))
    print(f"\nWritten to {path}.", file=sys.stderr)


def _prepare(workplace: Path, options: argparse.Namespace) -> Bench:
    examples = create_examples()
    needed = {"small"} | {examples[case].model for case in options.cases if case in examples}
    if "memory" in options.cases and not options.quick:
        needed.add("vgg16-100")
    print(f"Building the models {', '.join(sorted(needed))}", file=sys.stderr)
    build_models(workplace / "models", *sorted(needed))
    return Bench(
        servers={},
        models={name: workplace / "models" / name for name in sorted(needed)},
        examples=examples,
        workplace=workplace,
        rounds=options.rounds,
        share=0.05 if options.quick else 1.0,
    )


def _start(server: Server, bench: Bench, stack: ExitStack) -> None:
    with ExitStack() as own:
        own.enter_context(server)
        for name, folder in bench.models.items():
            server.load(name, folder)
        server.probabilities("small", bench.examples["json"])
        stack.push(own.pop_all())


if __name__ == "__main__":
    main()

"""The tables of the serving benchmark, and the machine that it ran on."""

import datetime
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from local_sagemaker.settings import MEBIBYTE
from servers.container import Container
from servers.endpoint import Endpoint, StaticAnswers
from servers.in_process import InProcess
from serving_cases import CALLS, IN_TURN, WITH_JSON

OWN = (InProcess.name, Container.name, Endpoint.name)
CASE_TITLES = {
    "json": "JSON, small CNN",
    "jpeg": "JPEG, small CNN",
    "vgg100": "JSON, VGG16, 100 px",
    "vgg224": "JSON, VGG16, 224 px",
}


def ratio(results: Mapping[str, Any], case: str, server: str, measure: str) -> float | None:
    """Return what a call of a server takes, as a multiple of the in-process call.

    The measure `p50_seconds` is compared round by round. The system counts `cpu_seconds` in steps of ten milliseconds:
    they are compared over all rounds.
    """
    measured = results[case][server][measure]
    reference = results[case][InProcess.name][measure]
    if measure == "cpu_seconds":
        return sum(measured) / sum(reference) if sum(reference) else None
    return statistics.median(ours / theirs for ours, theirs in zip(measured, reference, strict=True))


def _boto3(results: Mapping[str, Any], *others: str) -> float:
    rounds = [results["boto3"][name]["p50_seconds"] for name in (Endpoint.name, *others)]
    return statistics.median(endpoint / sum(rest) for endpoint, *rest in zip(*rounds, strict=True))


def _throughput(results: Mapping[str, Any]) -> float | None:
    per_second = {name: statistics.median(rows["per_second"]) for name, rows in results["throughput"].items()}
    peers = [value for name, value in per_second.items() if name not in OWN]
    return per_second[Container.name] / max(peers) if peers else None


def _tail(results: Mapping[str, Any]) -> float:
    rows = results["throughput"][Container.name]
    return statistics.median(p99 / p50 for p99, p50 in zip(rows["p99_seconds"], rows["warm_p50_seconds"], strict=True))


def _cold(results: Mapping[str, Any], server: str, measure: str) -> float:
    reference = statistics.median(results["cold"][InProcess.name]["saved_model_load"])
    return statistics.median(results["cold"][server][measure]) / reference


def _memory(results: Mapping[str, Any], measure: str) -> float:
    return max(rows[Container.name][measure] for rows in results["memory"].values())


def _thousand(results: Mapping[str, Any]) -> float | None:
    measured = results["thousand"]["anonymous_bytes"]
    return None if measured is None else measured / MEBIBYTE  # the system may not tell


GOALS: Sequence[tuple[str, str, float, Callable[[Mapping[str, Any]], float | None]]] = (
    ("warm call p50, JSON 32×32×3, container ÷ in-process", "≤", 0.95, lambda r: ratio(r, "json", *_P50)),
    ("warm call p50, JPEG bytes, container ÷ in-process", "≤", 0.95, lambda r: ratio(r, "jpeg", *_P50)),
    ("warm call CPU time, JSON 100×100×3, VGG16, ÷ in-process", "≤", 1.02, lambda r: ratio(r, "vgg100", *_CPU)),
    ("warm call CPU time, JSON 224×224×3, VGG16, ÷ in-process", "≤", 1.02, lambda r: ratio(r, "vgg224", *_CPU)),
    ("through boto3, p50 ÷ (in-process + a static server through boto3)", "≤", 1.10, lambda r: _boto3(r, *_APART)),
    ("the same, where both are called in turn", "≤", 1.10, lambda r: _boto3(r, IN_TURN)),
    ("throughput, 8 connections, ÷ the best peer", "≥", 4, _throughput),
    ("p99 at 8 connections ÷ warm p50", "≤", 20, _tail),
    ("cold first call from the archive ÷ `tf.saved_model.load`", "≤", 0.3, lambda r: _cold(r, *_FROM_ARCHIVE)),
    ("cold first call once unpacked ÷ `tf.saved_model.load`", "≤", 0.05, lambda r: _cold(r, *_LOADED_AGAIN)),
    ("memory per extra copy ÷ bytes of its weights", "≤", 1.05, lambda r: _memory(r, "per_copy_ratio")),
    ("memory left after unload, share", "≤", 0.01, lambda r: _memory(r, "left_share")),
    ("1,000 distinct small CNNs, anonymous memory, MiB", "≤", 400, _thousand),
    ("warm call with 1,000 models ÷ with ten", "≤", 1.10, lambda r: r["growth"]["1000"]["warm_ratio"]),
    ("warm call with 10,000 models ÷ with ten", "≤", 1.10, lambda r: r["growth"]["10000"]["warm_ratio"]),
)
_FROM_ARCHIVE, _LOADED_AGAIN = (Endpoint.name, "from_the_archive"), (Container.name, "loaded_again")
_APART = (InProcess.name, StaticAnswers.name)
_P50, _CPU = (Container.name, "p50_seconds"), (Container.name, "cpu_seconds")


def describe_machine(*packages: str) -> dict[str, Any]:
    """Return the date, the processor, the cores that this process may use, and the versions of packages."""
    processor = platform.processor() or platform.machine()
    if (told := Path("/proc/cpuinfo")).exists():
        names = [line for line in told.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":", 1)[1].strip() if names else processor
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "versions": {"python": platform.python_version()} | versions,
    }


def compare_with_goals(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each goal with what was measured, None if its case did not run, and whether it is reached."""
    rows = []
    for what, sign, goal, measure in GOALS:
        measured = _if_measured(measure, results)
        reached = None if measured is None else (measured <= goal if sign == "≤" else measured >= goal)
        rows.append({"what": what, "goal": f"{sign} {goal:g}", "measured": measured, "reached": reached})
    return rows


def goals_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the goals and what was measured, as a table in Markdown."""
    words = {True: "yes", False: "no", None: ""}
    lines = [[row["what"], row["goal"], _number(row["measured"]), words[row["reached"]]] for row in rows]
    return _table(["what", "goal", "measured", "reached"], lines)


def servers_table(results: Mapping[str, Any], names: Sequence[str], missing: Mapping[str, str]) -> str:
    """Return every server with its ratios to the in-process call, and why others are missing, in Markdown."""
    columns: dict[str, Callable[[str], float | str]] = {
        **{f"{CASE_TITLES[case]}: p50 · CPU": partial(_pair, results, case) for case in CALLS if case in results},
        "answers a second, 8 connections": lambda name: statistics.median(results["throughput"][name]["per_second"]),
        "p99 there, ms": lambda name: 1000 * statistics.median(results["throughput"][name]["p99_seconds"]),
        "memory per copy ÷ weights": lambda name: results["memory"]["small"][name]["per_copy_ratio"],
    }
    lines = [
        [name, *(_number(_if_measured(column, name)) for column in columns.values())]
        for name in (names[0], WITH_JSON, *names[1:])
    ]
    lines += [[name, f"missing: {reason}"] + [""] * (len(columns) - 1) for name, reason in missing.items()]
    return _table(["server", *columns], lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _pair(results: Mapping[str, Any], case: str, name: str) -> str:
    measures = ("p50_seconds", "cpu_seconds")
    return " · ".join(_number(_if_measured(ratio, results, case, name, measure)) for measure in measures)


def _if_measured(read: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function reads out of the results, or None if they lack that case or server."""
    try:
        return read(*arguments)
    except KeyError:
        return None


def _number(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "not measured"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""The tables of the serving benchmark."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from measuring import markdown_table
from servers.container import Container
from servers.endpoint import Endpoint, StaticAnswers
from servers.in_process import InProcess
from serving_cases import CALLS, IN_TURN, WITH_JSON
from serving_memory import MEBIBYTE

OWN = (InProcess.name, Container.name, Endpoint.name)
NOT_MEASURED = "not measured"
DATA, WEIGHTS = "noise images", "random; time and memory do not depend on them"
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
    measured = results.get(case, {}).get(server, {}).get(measure)
    if not measured:
        return None
    reference = results[case][InProcess.name][measure]
    if measure == "cpu_seconds":
        return sum(measured) / sum(reference) if sum(reference) else None
    return statistics.median(ours / theirs for ours, theirs in zip(measured, reference, strict=True))


def _boto3(results: Mapping[str, Any]) -> float:
    rounds = [results["boto3"][name]["p50_seconds"] for name in (Endpoint.name, InProcess.name, StaticAnswers.name)]
    return statistics.median(endpoint / (call + static) for endpoint, call, static in zip(*rounds, strict=True))


def _boto3_in_turn(results: Mapping[str, Any]) -> float:
    rounds = [results["boto3"][name]["p50_seconds"] for name in (Endpoint.name, IN_TURN)]
    return statistics.median(endpoint / both for endpoint, both in zip(*rounds, strict=True))


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
    rows = results["thousand"]
    if rows["anonymous_bytes"] is None:  # the system does not tell
        return None
    # a quick run holds fewer
    grown = (rows["anonymous_bytes"] - rows["before_bytes"]) * 1000 / rows["models"]
    return (rows["before_bytes"] + grown) / MEBIBYTE


GOALS: Sequence[tuple[str, str, float, Callable[[Mapping[str, Any]], float | None]]] = (
    ("warm call p50, JSON 32×32×3, container ÷ in-process", "≤", 0.95, lambda r: ratio(r, "json", *_P50)),
    ("warm call p50, JPEG bytes, container ÷ in-process", "≤", 0.95, lambda r: ratio(r, "jpeg", *_P50)),
    ("warm call CPU time, JSON 100×100×3, VGG16, ÷ in-process", "≤", 1.02, lambda r: ratio(r, "vgg100", *_CPU)),
    ("warm call CPU time, JSON 224×224×3, VGG16, ÷ in-process", "≤", 1.02, lambda r: ratio(r, "vgg224", *_CPU)),
    ("through boto3, p50 ÷ (in-process + a static server through boto3)", "≤", 1.10, _boto3),
    ("the same, where both are called in turn", "≤", 1.10, _boto3_in_turn),
    ("throughput, 8 connections, ÷ the best peer", "≥", 4, _throughput),
    ("p99 at 8 connections ÷ warm p50", "≤", 20, _tail),
    (
        "cold first call from the archive ÷ `tf.saved_model.load`",
        "≤",
        0.3,
        lambda r: _cold(r, Endpoint.name, "from_the_archive"),
    ),
    (
        "cold first call once unpacked ÷ `tf.saved_model.load`",
        "≤",
        0.05,
        lambda r: _cold(r, Container.name, "loaded_again"),
    ),
    ("memory per extra copy ÷ bytes of its weights", "≤", 1.05, lambda r: _memory(r, "per_copy_ratio")),
    ("memory left after unload, share", "≤", 0.01, lambda r: _memory(r, "left_share")),
    ("1,000 distinct small CNNs, anonymous memory, MiB", "≤", 400, _thousand),
)
_P50, _CPU = (Container.name, "p50_seconds"), (Container.name, "cpu_seconds")


def compare_with_goals(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each goal with what was measured, None if its case did not run, and whether it is reached."""
    rows = []
    for what, sign, goal, measure in GOALS:
        try:
            measured = measure(results)
        except KeyError:
            measured = None
        reached = None if measured is None else (measured <= goal if sign == "≤" else measured >= goal)
        rows.append({"what": what, "goal": f"{sign} {goal:g}", "measured": measured, "reached": reached})
    return rows


def goals_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the goals and what was measured, as a table in Markdown."""
    words = {True: "yes", False: "no", None: ""}
    lines = [[row["what"], row["goal"], _number(row["measured"]), words[row["reached"]]] for row in rows]
    return markdown_table(["what", "goal", "measured", "reached"], lines)


def servers_table(results: Mapping[str, Any], names: Sequence[str], missing: Mapping[str, str]) -> str:
    """Return every server with its ratios to the in-process call, and why others are missing, in Markdown."""
    header = ["server", *(f"{CASE_TITLES[case]}: p50 · CPU" for case in CALLS if case in results)]
    columns: dict[str, Callable[[str], float | None]] = {
        "answers a second, 8 connections": lambda name: _median(results, "throughput", name, "per_second"),
        "p99 there, ms": lambda name: _thousandths(_median(results, "throughput", name, "p99_seconds")),
        "memory per copy ÷ weights": lambda name: _of_memory(results, name, "per_copy_ratio"),
    }
    lines = []
    for name in _with_json(names):
        pairs = [
            " · ".join(_number(ratio(results, case, name, measure)) for measure in ("p50_seconds", "cpu_seconds"))
            for case in CALLS
            if case in results
        ]
        lines.append([name, *pairs, *(_number(value(name)) for value in columns.values())])
    lines += [
        [name, f"missing: {reason}"] + [""] * (len(header) + len(columns) - 2) for name, reason in missing.items()
    ]
    return markdown_table([*header, *columns], lines)


def _with_json(names: Sequence[str]) -> list[str]:
    """Put the in-process call with JSON behind the one without."""
    return [shown for name in names for shown in ((name, WITH_JSON) if name == InProcess.name else (name,))]


def _median(results: Mapping[str, Any], case: str, name: str, measure: str) -> float | None:
    values = results.get(case, {}).get(name, {}).get(measure)
    return statistics.median(values) if values else None


def _of_memory(results: Mapping[str, Any], name: str, measure: str) -> float | None:
    return results.get("memory", {}).get("small", {}).get(name, {}).get(measure)


def _thousandths(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _number(value: float | None) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

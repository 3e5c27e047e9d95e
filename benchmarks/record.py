"""What all benchmarks share: the machine they ran on, where results go, and tables.

A benchmark is one command: `python benchmarks/NAME.py`. It writes `runs/benchmarks/NAME.json`, and a figure beside it
if it draws one, and prints its table in Markdown.
"""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

OUTPUT = Path(__file__).resolve().parents[1] / "runs" / "benchmarks"


def describe_machine(*packages: str) -> dict[str, Any]:
    """Return the date, the processor, the cores that this process may use, and the versions of packages."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
    }


def write_results(
    name: str, results: Mapping[str, Any], figure: Figure | None = None, *, folder: Path = OUTPUT
) -> Path:
    """Write `NAME.json`, and `NAME.png` if there is a figure, and return the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if figure is not None:
        figure.savefig(path.with_suffix(".png"), dpi=110)
    return path


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _processor() -> str:
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

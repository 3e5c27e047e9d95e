"""What a run leaves for programs and people: `summary.json`, and `index.html` with the executed notebooks in it."""

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import nbformat

from helpers import results
from helpers.display.progress import duration

SUMMARY, PAGE = "summary.json", "index.html"
PACKAGES = ("tensorflow", "keras", "numpy", "sagemaker", "boto3", "papermill")


def write(
    output: Path, *, status: str, started: datetime.datetime, target: str, entries: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Write the summary and the page, which needs no server and no network, and return the summary.

    Entries that an earlier run left in the folder stay, unless this run repeated them: that is how a resumed run
    ends with the summary of the whole series. `started` is in UTC; entries are those of `runner.run_notebook`.
    """
    merged = {entry["name"]: entry for entry in [*_earlier(output), *entries]}
    notebooks = [merged[name] for name in sorted(merged)]
    if status == "completed" and any(entry["status"] != "completed" for entry in notebooks):
        status = "failed"
    summary = {
        "status": status,
        "target": target,
        "started": started.isoformat(" ", timespec="seconds"),
        "seconds": round(sum(entry["seconds"] for entry in notebooks), 1),
        "parameters": {name: value for entry in notebooks for name, value in entry["parameters"].items()},
        "results": {name: value for entry in notebooks for name, value in entry["results"].items()},
        "notebooks": notebooks,
        "versions": {"python": platform.python_version(), "system": platform.platform(terse=True)}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    # The summary first: if the page cannot be made, the numbers are there.
    (output / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    executed = {
        path.stem: _as_html(path) for path in map(output.joinpath, (e["file"] for e in notebooks)) if path.is_file()
    }
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    environment.filters |= {"duration": duration, "readable": readable}
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    (output / PAGE).write_text(template.render(run=summary, executed=executed), encoding="utf-8")
    return summary


def _earlier(output: Path) -> list[dict[str, Any]]:
    """Return the entries of an earlier run in the folder, if there are any that can be read."""
    try:
        entries: list[dict[str, Any]] = json.loads((output / SUMMARY).read_text(encoding="utf-8"))["notebooks"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return entries


def _as_html(executed: Path) -> str:
    """Return an executed notebook as a part of a page, without scripts."""
    from nbconvert import HTMLExporter  # late: it takes a second to import, and only the end of a run needs it

    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.config.NbConvertBase.display_data_priority = ["image/png", "text/html", "text/plain"]
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    html, _ = exporter.from_notebook_node(notebook)
    return str(html)


def readable(recorded: Mapping[str, results.Value]) -> dict[str, str]:
    """Return recorded values as people read them; an interval stands behind the value that it belongs to."""
    rows = {}
    for name, value in recorded.items():
        interval = recorded.get(f"{name}_interval")
        text = _with_unit(value, name)
        if isinstance(interval, list):
            text += f", 95 % interval {' to '.join(_with_unit(end, name) for end in interval)}"
        if name.removesuffix("_interval") == name or name.removesuffix("_interval") not in recorded:
            rows[name.replace("_", " ")] = text
    return rows


def _with_unit(value: results.Value, name: str) -> str:
    """Return a value with the unit that its name tells: percent of an accuracy, time of seconds."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_with_unit(item, name)}" for key, item in value.items())
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("_accuracy"):
            return f"{value:.1%}"
        if name.endswith("_seconds"):
            return f"{1000 * value:.3g} ms" if value < 1 else duration(value)
    return results.shown(value)

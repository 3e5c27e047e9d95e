"""What a run of the series leaves for people and programs: `summary.json`, and `index.html` with its pages.

The page needs no server and no network: pictures are embedded, and each executed notebook is a page beside it.
"""

import datetime
import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import nbformat

from helpers import parameters, results
from helpers.progress import duration
from helpers.runs import kept_outputs

SUMMARY, PAGE = "summary.json", "index.html"
TEMPLATES = Path(__file__).parent / "templates"
GATHERED = {
    "data_sources": "_source",
    "weights": "_weights",
    "accuracies": "_accuracy",
    "predictions": "_prediction",
    "latencies": "_median_seconds",
    "hit_ratios": "_hit_ratios",
}
# Recorded names that do not explain themselves when their underscores are spaces.
LABELS = {
    "break_even_models": "Break-even, in models",
    "che": "Che's approximation",
    "cold_seconds": "Cold call",
    "hit_ratio_before_and_after": "Hit ratio, few models and then many",
    "many_models_hit_ratios": "Hit ratio, many models",
    "million_models_hit_ratios": "Hit ratio, plan for a million models",
    "p99_forecast_to_measured": "99th percentile, forecast ÷ measured",
    "personal_archive_megabytes": "Personal archive, in MB",
    "personal_cold_median_seconds": "Cold call to a personal model, median",
    "personal_difference": "Personal accuracy less shared accuracy",
    "personal_difference_interval": "Personal accuracy less shared accuracy, interval",
    "personal_regularization_strength": "Regularization strength of personal models",
    "personal_warm_median_seconds": "Warm call to a personal model, median",
    "state_median_seconds": "Call by state of its model, median",
    "thousand_models_saving": "Saving with a thousand models",
    "warm_median_seconds": "Warm call, median",
}
PACKAGES = ("tensorflow", "keras", "numpy", "sagemaker", "boto3", "papermill")


def title(notebook_path: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    for cell in nbformat.read(notebook_path, as_version=4).cells:
        heading = re.search(r"^# (.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if heading:
            return heading[1].strip()
    return notebook_path.stem


def notebook_entry(
    executed: Path,
    *,
    title_from: Path,
    status: str,
    seconds: float,
    values: Mapping[str, object],
    error: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return a notebook's entry of the summary, with what it recorded.

    Args:
        executed: The executed copy, which may be missing if the kernel never started.
        title_from: The notebook as written.
        status: "completed", "failed" or "interrupted".
        seconds: Wall time.
        values: The parameters that it was given.
        error: section, name and message of what stopped it.

    Returns:
        The arguments, its title and file, the `defaults` of its parameters, and the `results` that it recorded.
    """
    try:
        recorded = results.read(executed)
    except (FileNotFoundError, ValueError):
        # Stopped before its Check section, or has none.
        recorded = {}
    return {
        "name": executed.stem,
        "title": title(title_from),
        "file": executed.name,
        "status": status,
        "seconds": round(seconds, 1),
        "parameters": dict(values),
        "defaults": parameters.declared(title_from),
        "results": recorded,
        "error": dict(error) if error else None,
    }


def write(
    output: Path, *, status: str, started: datetime.datetime, target: str, entries: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Write the summary, the page and a page for each executed notebook, and return the summary.

    Entries that an earlier run left in the folder stay, unless this run repeated them: that is how a resumed run
    ends with the summary of the whole series.

    Args:
        output: The folder of the run.
        status: How this run ended: "completed", "failed" or "interrupted".
        started: When it began, in UTC.
        target: "local" or "aws".
        entries: What `notebook_entry` returned, in order.
    """
    merged = {entry["name"]: entry for entry in [*_earlier(output), *entries]}
    notebooks = [merged[name] for name in sorted(merged)]
    if status == "completed" and any(entry["status"] != "completed" for entry in notebooks):
        status = "failed"
    recorded = {name: value for entry in notebooks for name, value in entry["results"].items()}
    summary = {
        "status": status,
        "target": target,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(sum(entry["seconds"] for entry in notebooks), 1),
        "parameters": {name: value for entry in notebooks for name, value in entry["parameters"].items()},
        **{key: _ending(recorded, ending) for key, ending in GATHERED.items()},
        "notebooks": notebooks,
        "versions": _versions(),
    }
    # The summary first: if a page cannot be made, the numbers are there.
    (output / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pages = {entry["name"]: page for entry in notebooks if (page := _notebook_page(output / entry["file"]))}
    (output / PAGE).write_text(_render(summary, output, pages), encoding="utf-8")
    return summary


def pictures(executed: Path) -> list[dict[str, str]]:
    """Return the pictures of the cells tagged `keep_output`.

    Returns:
        For each picture, `section` (the heading above it), `description` (its alternative text, or nothing) and
        `png` (base64).
    """
    found, section = [], ""
    for cell in nbformat.read(executed, as_version=4).cells:
        heading = re.match(r"#+ (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            section = heading[1].strip()
        if cell.cell_type == "code" and kept_outputs.TAG in cell.metadata.get("tags", []):
            for output in cell.outputs:
                image = output.get("data", {}).get("image/png")
                described = output.get("metadata", {}).get("image/png", {}).get("alt", "")
                if image:
                    found.append({"section": section, "description": described, "png": image.replace("\n", "")})
    return found


def _earlier(output: Path) -> list[dict[str, Any]]:
    """Return the entries of an earlier run in the folder, if there are any that can be read."""
    try:
        entries: list[dict[str, Any]] = json.loads((output / SUMMARY).read_text(encoding="utf-8"))["notebooks"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return entries


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _notebook_page(executed: Path) -> str | None:
    """Write an executed notebook as HTML beside it; return the page's name, or None without a notebook."""
    # Late, because nbconvert takes a second to import and only the end of a run needs it.
    from nbconvert import HTMLExporter

    if not executed.is_file():
        return None
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["title"] = title(executed)  # nbconvert's page would be called as the file
    exporter = HTMLExporter(template_name="notebook", extra_template_basedirs=[str(TEMPLATES)])
    html, _ = exporter.from_notebook_node(notebook)
    page = executed.with_suffix(".html")
    page.write_text(html, encoding="utf-8")
    return page.name


def _settings(notebooks: Sequence[dict[str, Any]]) -> dict[str, tuple[object, bool]]:
    """Return for each parameter the value that it had, and whether the run gave it or it is the default."""
    values = {name: (value, False) for entry in notebooks for name, value in entry.get("defaults", {}).items()}
    return values | {name: (value, True) for entry in notebooks for name, value in entry["parameters"].items()}


def _ending(values: Mapping[str, object], ending: str) -> dict[str, object]:
    """Return the values whose names have an ending, under their names without it."""
    return {name.removesuffix(ending): value for name, value in values.items() if name.endswith(ending)}


def label(name: str) -> str:
    """Return what a recorded name is called on the page: `cifar_training_seconds` is “CIFAR training”."""
    words = LABELS.get(name) or name.removesuffix("_seconds").replace("cifar", "CIFAR").replace("_", " ")
    return words[:1].upper() + words[1:]


def reading(value: results.Value, name: str) -> str:
    """Return a recorded value with the unit that its name tells: percent of an accuracy, time of seconds."""
    if isinstance(value, dict):
        return ", ".join(f"{LABELS.get(key, key)}: {reading(item, name)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(reading(item, name) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "_accuracy" in name:
            return f"{value:.1%}".replace("%", "\N{NO-BREAK SPACE}%")
        if name.endswith("_seconds"):
            return f"{1000 * value:.3g} ms" if value < 1 else duration(value)
    return results.shown(value)


def _render(summary: Mapping[str, Any], output: Path, pages: Mapping[str, str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("helpers.runs"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "duration": duration,
        "shown": results.shown,
        "label": label,
        "reading": reading,
        "ending": _ending,
    }
    recorded = {name: value for entry in summary["notebooks"] for name, value in entry["results"].items()}
    return environment.get_template("report.html").render(
        run=summary,
        pages=pages,
        recorded=recorded,
        labels=LABELS,
        settings=_settings(summary["notebooks"]),
        pictures={name: pictures(output / f"{name}.ipynb") for name in pages},
        longest=max((entry["seconds"] for entry in summary["notebooks"]), default=0) or 1,
        started=datetime.datetime.fromisoformat(summary["started"]).strftime("%d %B %Y, %H:%M UTC"),
    )

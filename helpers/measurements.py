"""Measurements that the project keeps: what a benchmark found, when and where, for notebooks to show.

A benchmark writes them with ``--keep``; its docstring has the command that repeats them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "measurements"


def load(name: str) -> dict[str, Any]:
    """Read what a benchmark, such as "sign_language", has kept.

    Raises:
        FileNotFoundError: There is none of this name.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"No {path.name} in {FOLDER}. Run python benchmarks/{name}.py --keep.")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def describe(measured: Mapping[str, Any]) -> str:
    """Say in a few words what was measured on: data, weights, epochs and seeds, machine and date."""
    machine, settings, counts = measured["machine"], measured["settings"], measured["data"]["counts"]
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    seeds = "1 seed" if settings["seeds"] == 1 else f"{settings['seeds']} seeds"
    return (
        f"{measured['data']['source'].rstrip('.')}: {counts['train']:,} images to train on and "
        f"{counts['validation']:,} to validate; {measured['weights']['provenance']} weights; "
        f"{settings['epochs']} epochs, {seeds}; {machine['processor']}, {cores}; {machine['date']}."
    )

"""local_sagemaker is a project of its own: the series imports only what it offers, and it nothing of the series."""

import ast
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import local_sagemaker
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
EMULATOR = ROOT / "local_sagemaker"
FOLDERS = ("benchmarks", "data", "findings", "helpers", "series", "tests", "training_scripts")
SCRIPTS = ROOT / "training_scripts"
SERIES = {"helpers", "notebooks", "series"} | {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts) for path in SCRIPTS.rglob("[!_]*.py")
}


def imports(source: str) -> Iterator[str]:
    """The full names of what a program imports, those that it imports only later included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources_of_the_series() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        yield path.name, "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def test_the_series_imports_only_what_local_sagemaker_offers():
    offered = {"local_sagemaker", *(f"local_sagemaker.{name}" for name in local_sagemaker.__all__)}
    found = {
        (name, imported)
        for name, source in sources_of_the_series()
        for imported in imports(source)
        if imported.partition(".")[0] == "local_sagemaker"
    }
    assert ("helpers/session.py", "local_sagemaker") in found
    assert sorted(entry for entry in found if entry[1] not in offered) == []


def test_local_sagemaker_imports_nothing_of_the_series():
    paths = list(EMULATOR.rglob("*.py"))
    assert len(paths) > 150
    own = {path.stem for path in paths}
    found = {
        (path.relative_to(EMULATOR).as_posix(), imported)
        for path in paths
        for imported in imports(path.read_text(encoding="utf-8"))
        if (SERIES - own) & set(accumulate(imported.split("."), "{}.{}".format))
    }
    assert sorted(found) == []


@pytest.mark.parametrize("name", local_sagemaker.__all__)
def test_what_local_sagemaker_offers_is_there_and_described(name):
    assert getattr(local_sagemaker, name).__doc__
    assert f"``{name}" in local_sagemaker.__doc__

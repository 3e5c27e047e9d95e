"""Imports within helpers point one way: notebooks call its modules at the top, and those the folders below them."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "helpers"
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def imported(source: str) -> Iterator[str]:
    """The modules of the package that a program imports, later imports included: `capacity.che` or `session`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            parts = node.module.split(".")[1:]
            for alias in node.names:
                path = PACKAGE.joinpath(*parts, alias.name)
                yield ".".join([*parts, alias.name] if path.is_dir() or path.with_suffix(".py").is_file() else parts)
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from (".".join(rest) for first, *rest in names if first == PACKAGE.name)


IMPORTS = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): set(
        imported(path.read_text(encoding="utf-8"))
    )
    for path in PACKAGE.rglob("*.py")
}


def top(module: str) -> str:
    return module.partition(".")[0]


def loop(graph: dict[str, set[str]]) -> list[str]:
    """Return a loop in a graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_the_imports_are_found():
    assert "s3" in IMPORTS["training"]
    assert any(name.startswith("plots.") for name in IMPORTS["plots"])


def test_no_modules_import_each_other_in_a_loop():
    assert loop(IMPORTS) == []


def test_no_folders_import_each_other_in_a_loop():
    between = defaultdict(set)
    for module, names in IMPORTS.items():
        between[top(module)] |= {top(name) for name in names} - {top(module)}
    assert loop(between) == []


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_imports_nothing_from_the_top(folder):
    found = {name for module, names in IMPORTS.items() if top(module) == folder for name in names}
    assert {name for name in found if "." not in name and name not in FOLDERS} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_calls_modules_at_the_top_and_plots(path):
    cells = nbformat.read(path, as_version=4).cells
    found = set(imported("\n".join(cell.source for cell in cells if cell.cell_type == "code")))
    assert found
    assert sorted(name for name in found if "." in name or name in FOLDERS - {"plots"}) == []


def test_the_notebook_that_deploys_loads_no_drawing_code():
    [path] = (ROOT / "notebooks").glob("04_*.ipynb")
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    imports = [ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    program = "\n".join([*imports, "import sys", "print({name.partition('.')[0] for name in sys.modules})"])
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert "helpers" in loaded
    assert loaded & {"matplotlib", "PIL", "generated_sample", "keras", "sagemaker", "tensorflow"} == set()

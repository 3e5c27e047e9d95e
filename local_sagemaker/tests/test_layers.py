"""Imports between the folders of the package point one way, as its README draws them."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

import local_sagemaker

PACKAGE = Path(local_sagemaker.__file__).parent
MAY_IMPORT = {
    "gateway": set(),
    "engines": set(),
    "services": set(),
    "container": {"engines"},
    "training": {"services"},
    "hosting": {"services"},
    "actions": {"hosting", "training"},
    "fit": {"container", "engines", "hosting"},
}


def imported(path):
    """The parts of the package that a module imports, by their first name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            _, *rest = node.module.split(".")
            yield from rest[:1] or [alias.name for alias in node.names]


def test_every_folder_is_listed():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_is_below_it(folder):
    found = {name for path in (PACKAGE / folder).rglob("*.py") for name in imported(path)}
    assert found & set(MAY_IMPORT) - {folder} <= MAY_IMPORT[folder]
    assert not found & {"__main__", "daemon", "server"}


@pytest.mark.parametrize(
    "module", ["archives", "asgi", "checksums", "errors", "memory", "processes", "records", "settings"]
)
def test_what_serves_all_folders_imports_none_of_them(module):
    assert not set(imported(PACKAGE / f"{module}.py")) & set(MAY_IMPORT)


def test_the_package_imports_only_what_it_requires():
    required = {re.match(r"[\w-]+", line)[0] for line in requires("local-sagemaker") if "extra ==" not in line}
    distributions = packages_distributions()
    tops = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                tops.add(node.module.partition(".")[0])
    assert tops > {"tensorflow", "moto", "botocore"}
    outside = tops - sys.stdlib_module_names - {PACKAGE.name}
    assert [name for name in sorted(outside) if not required & set(distributions.get(name, ()))] == []

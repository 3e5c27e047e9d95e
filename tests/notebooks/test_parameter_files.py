from pathlib import Path

import pytest

from helpers import parameters
from series import assignment, runner

FILES = sorted((runner.NOTEBOOKS / "parameters").glob("*.yaml"))


def test_the_three_files_are_there():
    assert [path.stem for path in FILES] == ["aws", "full", "quick"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_parameter_is_one_that_a_notebook_declares_with_that_type(path: Path):
    declared = {name: assignment.declared(notebook) for name, notebook in runner.find().items()}
    assigned = assignment.assign(assignment.read_file(path), declared)
    targets = {values["TARGET"] for values in assigned.values()}
    assert targets == {"aws" if path.stem == "aws" else "local"}


def test_a_parameter_has_one_default_in_the_whole_series():
    defaults: dict[str, set[str]] = {}
    for notebook in runner.find().values():
        for name, value in assignment.declared(notebook).items():
            defaults.setdefault(name, set()).add(repr(value))
    assert {name: values for name, values in defaults.items() if len(values) > 1} == {}


def test_each_parameter_of_the_series_has_a_rule_that_its_default_keeps():
    defaults = {name: value for path in runner.find().values() for name, value in assignment.declared(path).items()}
    assert set(defaults) == set(parameters.RULES), "A row for each in helpers/parameters.py, and none besides."
    parameters.check(defaults)

"""The notebooks with plain papermill: its help lists every parameter, and its outputs go to S3 and come from there."""

import ast
import os
import subprocess
import sys

import nbformat
import pytest
from papermill.inspection import inspect_notebook

from helpers import s3
from series import assignment, runner

pytestmark = pytest.mark.slow

NOTEBOOKS = runner.find()


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_the_help_lists_each_parameter_with_its_default_and_its_comment(path):
    listed = inspect_notebook(path)
    defaults = {name: ast.literal_eval(entry["default"]) for name, entry in listed.items()}
    assert defaults == assignment.declared(path)
    assert [name for name, entry in listed.items() if len(entry["help"].split()) < 3] == []


@pytest.fixture
def shell(tmp_path):
    """The environment of a shell that is pointed at the target, with Jupyter folders of its own."""
    return os.environ | {"JUPYTER_DATA_DIR": str(tmp_path / "jupyter")}


def run(shell, *arguments):
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", *map(str, arguments)]
    return subprocess.run(command, env=shell, capture_output=True, text=True)


def read(connection, uri):
    notebook = nbformat.reads(s3.read(connection, uri).decode(), as_version=4)
    nbformat.validate(notebook)
    return notebook


def printed(notebook):
    return [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]


@pytest.mark.aws
def test_a_notebook_goes_to_s3_and_one_in_s3_is_run(connection, shell, write_notebook):
    path = write_notebook("01_count", ["print(COUNT + 1)"], parameters="COUNT = 5  # what to add to")
    once, twice = (f"{connection.base_uri}papermill/{name}/01.ipynb" for name in ("once", "twice"))
    finished = run(shell, path, once, "-p", "COUNT", 6)
    assert finished.returncode == 0, finished.stderr
    assert printed(read(connection, once)) == ["7\n"]
    finished = run(shell, once, twice, "-p", "COUNT", 8)
    assert finished.returncode == 0, finished.stderr
    assert printed(read(connection, twice)) == ["9\n"]


@pytest.mark.aws
def test_a_run_that_fails_leaves_in_s3_how_far_it_came(connection, shell, write_notebook):
    path = write_notebook("01_fail", ["print('so far')", "1 / 0", "print('never')"])
    failed = f"{connection.base_uri}papermill/failed.ipynb"
    finished = run(shell, path, failed)
    assert finished.returncode != 0
    assert "ZeroDivisionError" in finished.stderr
    notebook = read(connection, failed)
    assert printed(notebook) == ["so far\n"]
    assert "ZeroDivisionError" in [output.get("ename") for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_kernel_that_ipykernel_registers_has_this_python_and_the_helpers(shell, write_notebook, tmp_path):
    kernel = "multi-model-endpoint"
    register = [sys.executable, "-m", "ipykernel", "install", "--user", "--name", kernel]
    subprocess.run(register, env=shell, check=True, capture_output=True)
    path = write_notebook("01_where", ["import sys, helpers.results", "print(sys.prefix)"])
    finished = run(shell, path, tmp_path / "executed.ipynb", "--kernel", kernel)
    assert finished.returncode == 0, finished.stderr
    assert printed(nbformat.read(tmp_path / "executed.ipynb", as_version=4)) == [f"{sys.prefix}\n"]


CHECK = "from helpers import parameters\n\nparameters.check(globals())"


def test_what_papermill_reads_otherwise_than_it_was_meant_is_refused(shell, write_notebook, tmp_path):
    path = write_notebook("01_check", [CHECK], parameters="CLEAN_UP = True  # delete")
    given = ["-p", "CLEAN_UP", "false", "-p", "CIFAR_LIMIT", "null", "-p", "CIFAR_EPOCH", "2"]
    given += ["-y", "CALLS_PER_SECOND: 1e-3", "-y", "PREFIX: 12:30:00"]
    finished = run(shell, path, tmp_path / "executed.ipynb", *given)
    assert finished.returncode != 0
    for sentence in (
        "CLEAN_UP takes True or False, not the text 'false'. Type False",
        "Type None; in YAML (a file, papermill -y) null.",
        "Type 0.001; in YAML (a file, papermill -y) 0.001.",
        'PREFIX takes a key prefix such as "team/series", not 45000.',
        "No notebook declares a parameter CIFAR_EPOCH. Did you mean CIFAR_EPOCHS?",
    ):
        assert sentence in finished.stderr


def test_what_the_page_says_to_type_arrives_and_a_file_may_name_parameters_of_other_notebooks(
    shell, write_notebook, tmp_path
):
    show = "CLEAN_UP, CIFAR_LIMIT, PREFIX, ACCOUNT, CALLS_PER_SECOND, WIDTH, TARGET"
    path = write_notebook("01_check", [CHECK, f"print([{show}])"], parameters="CLEAN_UP = True  # delete")
    given = ["-f", runner.NOTEBOOKS / "parameters" / "aws.yaml", "-p", "CLEAN_UP", "False", "-p", "CIFAR_LIMIT", "None"]
    given += ["-r", "PREFIX", "2024", "-y", "ACCOUNT: {kms_key: k}", "-p", "CALLS_PER_SECOND", "1e1"]
    finished = run(shell, path, tmp_path / "executed.ipynb", *given)
    assert finished.returncode == 0, finished.stderr
    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    assert printed(executed) == ["[False, None, '2024', {'kms_key': 'k'}, 10.0, 48, 'aws']\n"]

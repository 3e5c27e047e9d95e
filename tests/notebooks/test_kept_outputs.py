"""The outputs kept in the notebooks are those that the code gives: nbval runs copies with small parameters."""

import subprocess
import sys

import nbformat
import papermill
import pytest

from helpers.runs import parameters

pytestmark = pytest.mark.series


def test_kept_outputs_are_current(environment, home, notebook_paths, root, small, tmp_path):
    copies = []
    for path in notebook_paths:
        declared = parameters.declared(path)
        values = {name: value for name, value in small.items() if name in declared}
        copy = tmp_path / path.name
        papermill.execute_notebook(path, copy, parameters=values, prepare_only=True, progress_bar=False)
        _mark_as_run(copy)
        copies.append(str(copy))
    # One process, in order: each notebook needs what the one before stored.
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(tmp_path), "--nbval-cell-timeout", "600", "-q", *copies]
    finished = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    assert " passed" in finished.stdout


def _mark_as_run(path):
    """Number the cells that have outputs: the repository keeps none, and nbval takes such a cell as never run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.get("outputs"):
            cell.execution_count = 1
    nbformat.write(notebook, path)

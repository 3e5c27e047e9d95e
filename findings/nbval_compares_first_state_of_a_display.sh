#!/usr/bin/env bash
# nbval 0.11.0 (nbclient 0.11.0, ipykernel 7.4.0, Python 3.11) compares the first state of an output that is updated.
#
# Input: a valid notebook whose cell shows an output and then updates it through its display handle, executed and saved
# by nbclient. The file holds the last state, as Jupyter's messaging protocol asks for.
# One would expect: `pytest --nbval` on that file passes, since nothing changed, as it does for a cell without updates.
# Seen: it fails. nbval ignores `update_display_data` ("unhandled iopub msg") and holds the first state against the
# stored last one. Outputs of progress bars cannot be checked with it.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once nbval does otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export JUPYTER_DATA_DIR=$folder/data JUPYTER_CONFIG_DIR=$folder/config IPYTHONDIR=$folder/ipython
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nbval==0.11.0 nbclient==0.11.0 ipykernel==7.4.0

cat > finding.py <<'PYTHON'
import subprocess
import sys

import nbformat
from nbclient import execute
from nbformat import v4

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SHOW = "shown = display({'text/plain': 'first'}, raw=True, display_id=True)"
passed = {}
for name, source in {"plain": SHOW, "updated": f"{SHOW}\nshown.update({{'text/plain': 'last'}}, raw=True)"}.items():
    notebook = execute(v4.new_notebook(cells=[v4.new_code_cell(source)], metadata={"kernelspec": KERNEL}))
    stored = notebook.cells[0].outputs[0].data["text/plain"]
    assert stored == {"plain": "first", "updated": "last"}[name], f"The file holds {stored!r}."
    nbformat.write(notebook, f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--quiet", "--nbval", "--nbval-current-env", f"{name}.ipynb"]
    finished = subprocess.run(command, capture_output=True, text=True)
    passed[name] = finished.returncode == 0
    print(f"{name}: nbval {'passes' if passed[name] else 'fails'}")
sys.exit(passed != {"plain": True, "updated": False})
PYTHON
venv/bin/python finding.py

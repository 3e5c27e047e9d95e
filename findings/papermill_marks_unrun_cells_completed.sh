#!/usr/bin/env bash
# papermill 2.7.0 (nbclient 0.11.0, ipykernel 7.4.0, Python 3.11) calls cells "completed" that never ran.
#
# Input: a valid notebook of three cells, whose second one outlives papermill's own --execution-timeout, or ends the
# kernel's process. papermill fails, as it should, and saves the notebook.
# One would expect: the third cell, which never ran, is "pending", as it is after an exception in the second.
# Seen: all three have the status "completed" and no exception, and so has the notebook as a whole; only
# `execution_count`, which is null, tells that the third never ran. The same happens after Ctrl-C.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once papermill does otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export JUPYTER_DATA_DIR=$folder/data JUPYTER_CONFIG_DIR=$folder/config IPYTHONDIR=$folder/ipython
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check papermill==2.7.0 nbclient==0.11.0 ipykernel==7.4.0

cat > finding.py <<'PYTHON'
import subprocess
import sys

import nbformat
from nbformat import v4

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
found = {}
for name, second in {
    "an exception": "1 / 0",
    "a time limit": "import time; time.sleep(60)",
    "a dead kernel": "import os; os._exit(9)",
}.items():
    cells = [v4.new_code_cell(source) for source in ("1", second, "print('never')")]
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"]
    command += ["--execution-timeout", "5"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode != 0, f"papermill succeeded in spite of {name}."
    last = nbformat.read("out.ipynb", as_version=4).cells[-1]
    assert not last.outputs and last.execution_count is None, f"The last cell ran in spite of {name}."
    found[name] = last.metadata.papermill.status
    print(f"after {name}, the cell that never ran is {found[name]!r}")
sys.exit(found != {"an exception": "pending", "a time limit": "completed", "a dead kernel": "completed"})
PYTHON
venv/bin/python finding.py

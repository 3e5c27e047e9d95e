#!/usr/bin/env bash
# ipykernel 7.4.0, jupyter-client 8.10.0, nbclient 0.11.0 (Python 3.11): a kernel that has used processes ends late.
#
# Input: a notebook of one cell, which opens and closes a multiprocessing.Pool of the kind "spawn", run by nbclient.
# One would expect: the pool is closed and its processes have ended, so the kernel ends as fast as any other, in 0.1 s.
# Seen: 2.5 s. With the first such pool Python starts its resource tracker, which lives as long as the kernel and ignores
# SIGTERM. The kernel that is asked to end sends its children SIGTERM, again and again with growing pauses, and after 2.5
# s the client kills it. With pools of the kind "fork" there is no tracker, and no wait.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once such a kernel ends in 1 s.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder JUPYTER_DATA_DIR=$folder/data JUPYTER_CONFIG_DIR=$folder/config IPYTHONDIR=$folder/ipython
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ipykernel==7.4.0 jupyter-client==8.10.0 nbclient==0.11.0

cat > finding.py <<'PYTHON'
import sys
import time

import nbclient
from nbformat import v4


def seconds_to_end(kind):
    """Return how long a kernel takes to end after a pool of processes of this kind was used and closed."""
    cell = f"import multiprocessing\nwith multiprocessing.get_context('{kind}').Pool(2) as pool:\n    pool.map(abs, [1])"
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell)])
    client = nbclient.NotebookClient(notebook)
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        asked = time.perf_counter()
    return time.perf_counter() - asked


found = {kind: seconds_to_end(kind) for kind in ("fork", "spawn")}
print({kind: round(seconds, 2) for kind, seconds in found.items()})
sys.exit(not found["fork"] < 1 < found["spawn"])
PYTHON
venv/bin/python finding.py

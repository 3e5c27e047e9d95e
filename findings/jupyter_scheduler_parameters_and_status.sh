#!/usr/bin/env bash
# jupyter-scheduler 2.12.0, notebook jobs of JupyterLab (with jupyter-server 2.21.1, ipykernel 7.4.0, Python 3.11).
#
# Input: jobs of a valid notebook whose cell tagged "parameters" holds a text, created over its REST API.
# 1. One would expect that the parameter REGION with the text us-east-1 gives the notebook that text, as papermill does.
#    Seen: the value is pasted into the notebook as Python source, REGION = us-east-1, and the job fails with a
#    NameError. A text has to be sent with quotes of its own; what is sent can be any expression.
# 2. One would expect that a job that was accepted and waits for its process is CREATED or QUEUED, both of which its
#    API knows. Seen: it is STOPPED until its process starts, as one that its user has stopped.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once one of them has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder JUPYTER_DATA_DIR=$folder/data JUPYTER_CONFIG_DIR=$folder/config IPYTHONDIR=$folder/ipython
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    jupyter-scheduler==2.12.0 jupyter-server==2.21.1 ipykernel==7.4.0

cat > finding.py <<'PYTHON'
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
from nbformat import v4

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
declared = v4.new_code_cell("REGION = 'none'", metadata={"tags": ["parameters"]})
notebook = v4.new_notebook(cells=[declared, v4.new_code_cell("print(REGION)")], metadata={"kernelspec": KERNEL})
nbformat.write(notebook, "in.ipynb")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", f"--port={port}"]
command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=finding", "--ServerApp.root_dir=."]
command += [f"--SchedulerApp.db_url=sqlite:///{Path.cwd()}/jobs.sqlite"]


def ask(path, data=None):
    body = None if data is None else json.dumps(data).encode()
    headers = {"Authorization": "token finding", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def run(region):
    """Return the states that a job goes through, and the message that it ends with."""
    job = {"name": "finding", "input_uri": "in.ipynb", "runtime_environment_name": "venv", "output_formats": ["ipynb"]}
    created = ask("/scheduler/jobs", job | {"parameters": {"REGION": region}})["job_id"]
    states, end = [], time.monotonic() + 60
    while time.monotonic() < end and not {"COMPLETED", "FAILED"} & set(states):
        found = ask(f"/scheduler/jobs/{created}")
        states += [found["status"]] if states[-1:] != [found["status"]] else []
        time.sleep(0.02)
    print(f"REGION sent as {region}: {' → '.join(states)}")
    return states, found.get("status_message") or ""


with open("server.log", "w") as log:
    server = subprocess.Popen(command, stderr=log)
try:
    for _ in range(120):
        try:
            ask("/api/status")
            break
        except OSError:
            time.sleep(0.5)
    plain, message = run("us-east-1")
    quoted, _ = run("'us-east-1'")
finally:
    server.terminate()
    server.wait()
pasted = plain[-1] == "FAILED" and "NameError" in message and quoted[-1] == "COMPLETED"
print(f"pasted as source: {pasted}; first state of a job: {quoted[0]}")
sys.exit(not (pasted and quoted[0] == "STOPPED"))
PYTHON
venv/bin/python finding.py

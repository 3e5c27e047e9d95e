"""A rank of MPI: it meets the others, and leaves what it saw in the model folder of its instance."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import psutil
from mpi4py import MPI

ranks = MPI.COMM_WORLD
if "--die" in sys.argv and ranks.rank == ranks.size - 1:
    raise RuntimeError("no rank is an island")
total = np.zeros(1000)
ranks.Allreduce(np.full(1000, ranks.rank + 1.0), total)
port = int(os.environ["PMIX_SERVER_URI41"].rpartition(":")[2])
connections = [entry for entry in psutil.net_connections("inet") if entry.status == psutil.CONN_LISTEN]
server = {entry.pid for entry in connections if entry.laddr.port == port}
found = {
    "rank": ranks.rank,
    "size": ranks.size,
    "total": total[0],
    "host": os.environ["SM_CURRENT_HOST"],
    "arguments": sys.argv[1:],
    "given": os.environ.get("GIVEN"),
    "listens": sorted({entry.laddr.ip for entry in connections if entry.pid in server | {os.getpid()}}),
    "shared_memory": sorted(path.name for path in Path("/dev/shm").glob("sm_segment*")),
}
Path(os.environ["SM_MODEL_DIR"], f"rank-{ranks.rank}.json").write_text(json.dumps(found))

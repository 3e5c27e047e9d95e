"""A training job whose two instances exchange a message over TCP by their names, for test_training_jobs.py."""

import json
import os
import pathlib
import socket
import time

config = json.loads(pathlib.Path("/opt/ml/input/config/resourceconfig.json").read_text())
hosts, me = config["hosts"], config["current_host"]
rank = hosts.index(me)
port = int(os.environ["MEETING_PORT"])

with socket.socket() as own:
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.bind((me, port))  # the same port at every host, as on AWS
    own.listen()
    if rank == 0:
        connection, address = own.accept()
        with connection:
            text = connection.recv(100).decode()
    else:
        deadline = time.monotonic() + 120
        while True:
            try:
                with socket.create_connection((hosts[0], port), timeout=5) as connection:
                    connection.sendall(f"hello from {me}".encode())
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        text = "sent"
pathlib.Path(f"/opt/ml/model/{me}").write_text(text)

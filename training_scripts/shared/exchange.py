"""Numbers exchanged between the instances of a training job, over TCP.

The first host listens, the others connect to it: what they send, it averages, and it sends the same bytes to all.
For a handful of instances that costs little; among many, a ring would spread the traffic more evenly.

TensorFlow's own collectives (``CollectiveReduceV2``) are not used here, because their server obeys whoever reaches
it, always listens on all network interfaces, and waits without limit for a worker that never comes. This one listens
on the host's own address and takes nothing but arrays of numbers.
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np

# Between the instances of a training job all ports are open; with a VPC of your own, its security group must allow it.
PORT = 29600
# An instance may get its data minutes later than another.
START_SECONDS = 900
_GREETING_SECONDS = 10
_SILENCE_SECONDS = 90
_GREETING = struct.Struct("!32sI")
_HEADER = struct.Struct("!Q")


class Exchange:
    """The connections of one host to the others."""

    def __init__(self, hosts: list[str], sockets: dict[str, socket.socket]) -> None:
        """Take the connections; :func:`open_exchange` makes them.

        Args:
            hosts: Names of all hosts; the first one averages.
            sockets: A connection to each host that this one talks to: the first host's to all the others, another
                host's to the first.
        """
        self._hosts = hosts
        self._sockets = sockets
        self._is_first = hosts[0] not in sockets

    def average(self, array: np.ndarray) -> np.ndarray:
        """Return the mean of the arrays that the hosts pass, the same bits on every host.

        Raises:
            ConnectionError: Another host ended, or passes an array of another size.
        """
        if not self._is_first:
            self._send(array, to=self._hosts[0])
            return self._receive(array, sender=self._hosts[0])
        total = array.copy()
        for host in self._sockets:
            total += self._receive(array, sender=host)
        return self.broadcast(total / np.asarray(len(self._hosts), array.dtype))

    def broadcast(self, array: np.ndarray) -> np.ndarray:
        """Return the array of the first host on every host.

        Raises:
            ConnectionError: Another host ended, or passes an array of another size.
        """
        if not self._is_first:
            return self._receive(array, sender=self._hosts[0])
        for host in self._sockets:
            self._send(array, to=host)
        return array

    def close(self) -> None:
        """Part: the first host lets the others go, and they wait for that.

        Raises:
            ConnectionError: The first host ended without having said so.
        """
        self.broadcast(np.zeros(0, np.uint8))
        for connection in self._sockets.values():
            connection.close()

    def _send(self, array: np.ndarray, *, to: str) -> None:
        with _explained(to):
            self._sockets[to].sendall(_HEADER.pack(array.nbytes))
            self._sockets[to].sendall(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def _receive(self, like: np.ndarray, *, sender: str) -> np.ndarray:
        received = np.empty(like.shape, like.dtype)
        with _explained(sender):
            (size,) = _HEADER.unpack(_read(self._sockets[sender], bytearray(_HEADER.size)))
            if size != like.nbytes:
                raise ConnectionError(f"it sent {size} bytes instead of {like.nbytes}; is its script another one?")
            _read(self._sockets[sender], received.reshape(-1).view(np.uint8).data)
        return received


def open_exchange(hosts: list[str], current_host: str, *, start_seconds: float = START_SECONDS) -> Exchange:
    """Connect this host with the others, whichever of them starts first.

    Args:
        hosts: Names of all hosts, at least two, in the same order on each.
        current_host: Name of this one.
        start_seconds: How long to wait for the others.

    Raises:
        ConnectionError: Another host did not come in time.
        OSError: The first host's port is taken.
    """
    deadline = time.monotonic() + start_seconds
    # The job's name keeps a host of another job from joining.
    job = hashlib.sha256(json.dumps([os.environ.get("TRAINING_JOB_NAME"), hosts]).encode()).digest()
    if current_host == hosts[0]:
        sockets = _welcome(hosts, job, deadline)
    else:
        sockets = {hosts[0]: _join(hosts[0], _GREETING.pack(job, hosts.index(current_host)), deadline)}
    for connection in sockets.values():
        _configure(connection)
    return Exchange(hosts, sockets)


def _welcome(hosts: list[str], job: bytes, deadline: float) -> dict[str, socket.socket]:
    """Accept every other host once; return the connections in the order of the hosts."""
    sockets: dict[str, socket.socket] = {}
    with _listen(hosts[0]) as server:
        while len(sockets) < len(hosts) - 1:
            missing = [host for host in hosts[1:] if host not in sockets]
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError as error:
                raise _absent(", ".join(missing)) from error
            connection.settimeout(_GREETING_SECONDS)
            with contextlib.suppress(OSError):
                sender, rank = _GREETING.unpack(_read(connection, bytearray(_GREETING.size)))
                if sender == job and rank < len(hosts) and hosts[rank] in missing:
                    sockets[hosts[rank]] = connection
                    continue
            connection.close()
    return {host: sockets[host] for host in hosts[1:]}


def _listen(host: str) -> socket.socket:
    try:
        return socket.create_server((socket.gethostbyname(host), PORT))
    except OSError as error:
        raise OSError(
            f"Cannot listen on port {PORT} of {host} ({error}). Let the other program or training job that uses it "
            "end, then start again."
        ) from error


def _join(first: str, greeting: bytes, deadline: float) -> socket.socket:
    """Connect to the first host, which may not be there yet, nor have its name in the DNS."""
    while True:
        try:
            connection = socket.create_connection((socket.gethostbyname(first), PORT), timeout=_GREETING_SECONDS)
            connection.sendall(greeting)
        except OSError as error:
            if time.monotonic() > deadline:
                raise _absent(first) from error
            time.sleep(0.2)
        else:
            return connection


def _absent(hosts: str) -> ConnectionError:
    return ConnectionError(f"Did not meet {hosts} in time. The log of that instance tells why it did not start.")


def _configure(connection: socket.socket) -> None:
    """Wait for a slow host, but not for one whose machine is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probes = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6, "TCP_USER_TIMEOUT": _SILENCE_SECONDS * 1000}
    for name, value in probes.items():
        if hasattr(socket, name):  # macOS lacks some
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _read(connection: socket.socket, target: bytearray | memoryview) -> bytearray | memoryview:
    """Fill the target with what comes next, and return it."""
    view = memoryview(target)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionError("it closed the connection")
        view = view[count:]
    return target


@contextlib.contextmanager
def _explained(host: str) -> Iterator[None]:
    """Say which host an error is about."""
    try:
        yield
    except OSError as error:
        raise ConnectionError(
            f"Training cannot go on without {host}: {error}. The log of that instance tells why."
        ) from error

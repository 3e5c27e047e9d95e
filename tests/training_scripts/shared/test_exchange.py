"""Hosts that exchange numbers, as threads with addresses of their own."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shared import exchange
from shared.exchange import PORT, open_exchange

SECONDS = 60


@pytest.fixture
def hosts(name_hosts):
    return name_hosts(3)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def meet(pool, hosts):
    calls = [pool.submit(open_exchange, hosts, host, start_seconds=SECONDS) for host in reversed(hosts)]
    return [call.result(SECONDS) for call in reversed(calls)]


def on_all(pool, call, exchanges):
    calls = [pool.submit(call, rank, host) for rank, host in enumerate(exchanges)]
    return [call.result(SECONDS) for call in calls]


@pytest.mark.parametrize("shape", [(), (0,), (3, 2), (1_000_000,)])
def test_all_get_the_same_mean_whoever_starts_first(pool, hosts, shape):
    arrays = [np.random.default_rng(rank).normal(size=shape).astype(np.float32) for rank in range(3)]
    exchanges = meet(pool, hosts)
    means = on_all(pool, lambda rank, host: host.average(arrays[rank]), exchanges)
    np.testing.assert_allclose(means[0], np.mean(arrays, axis=0), atol=1e-6)
    assert {np.asarray(mean).tobytes() for mean in means} == {np.asarray(means[0]).tobytes()}
    assert {np.asarray(mean).dtype for mean in means} == {np.dtype(np.float32)}
    on_all(pool, lambda _, host: host.close(), exchanges)


def test_all_get_the_array_of_the_first(pool, hosts):
    exchanges = meet(pool, hosts)
    received = on_all(pool, lambda rank, host: host.broadcast(np.array([rank, 7], np.int64)), exchanges)
    assert [array.tolist() for array in received] == [[0, 7]] * 3
    on_all(pool, lambda _, host: host.close(), exchanges)


def test_the_others_stay_until_the_first_lets_them_go(pool, hosts):
    first, second, third = meet(pool, hosts)
    waiting = [pool.submit(second.close), pool.submit(third.close)]
    with pytest.raises(TimeoutError):
        waiting[0].result(0.2)
    first.close()
    assert [call.result(SECONDS) for call in waiting] == [None, None]


def test_it_listens_on_its_own_address_only(pool, hosts):
    first = pool.submit(open_exchange, hosts[:2], hosts[0], start_seconds=SECONDS)
    second = open_exchange(hosts[:2], hosts[1], start_seconds=SECONDS)
    [connection] = second._sockets.values()
    assert connection.getpeername() == (hosts[0], PORT)
    [accepted] = first.result(SECONDS)._sockets.values()
    assert accepted.getsockname() == (hosts[0], PORT)


def test_two_jobs_meet_at_the_same_time(pool, name_hosts):
    jobs = [name_hosts(2), name_hosts(2)]
    waiting = [pool.submit(open_exchange, hosts, hosts[0], start_seconds=SECONDS) for hosts in jobs]
    for hosts in jobs:
        open_exchange(hosts, hosts[1], start_seconds=SECONDS)
    assert len([call.result(SECONDS) for call in waiting]) == 2


def test_a_host_that_ends_is_named_at_once(pool, hosts):
    first, second, third = meet(pool, hosts)
    for connection in third._sockets.values():
        connection.close()
    pool.submit(second.average, np.ones(3))
    with pytest.raises(ConnectionError, match=f"Training cannot go on without {hosts[2]}: "):
        first.average(np.ones(3))


def test_hosts_that_pass_arrays_of_different_sizes_are_told(pool, hosts):
    exchanges = meet(pool, hosts[:2])
    pool.submit(exchanges[1].average, np.ones(2))
    with pytest.raises(ConnectionError, match=f"without {hosts[1]}: it sent 16 bytes instead of 24; is its script"):
        exchanges[0].average(np.ones(3))


def test_a_host_that_never_comes_is_named(hosts):
    with pytest.raises(ConnectionError, match=f"Did not meet {hosts[1]}, {hosts[2]} in time"):
        open_exchange(hosts, hosts[0], start_seconds=0.1)
    with pytest.raises(ConnectionError, match=f"Did not meet {hosts[0]} in time"):
        open_exchange(hosts, hosts[1], start_seconds=0.1)


def test_a_port_that_is_taken_is_named(hosts):
    with socket.create_server((hosts[0], PORT)), pytest.raises(OSError, match=f"Cannot listen on port {PORT} of"):
        open_exchange(hosts, hosts[0], start_seconds=1)


def test_strangers_are_turned_away(pool, hosts):
    first = pool.submit(open_exchange, hosts[:2], hosts[0], start_seconds=SECONDS)
    stranger = exchange._join(
        hosts[0], exchange._GREETING.pack(b"another job".ljust(32), 1), time.monotonic() + SECONDS
    )
    with stranger:
        stranger.settimeout(SECONDS)
        assert stranger.recv(1) == b""
    open_exchange(hosts[:2], hosts[1], start_seconds=SECONDS)
    assert list(first.result(SECONDS)._sockets) == [hosts[1]]

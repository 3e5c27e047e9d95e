"""Containers as the platform sees them, with a small program in the place of the real one."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local_sagemaker.errors import ContainerLostError
from local_sagemaker.hosting.connections import ConnectionPool
from local_sagemaker.hosting.container_process import ContainerProcess
from local_sagemaker.hosting.instances import Instance
from local_sagemaker.hosting.spare_container import SpareContainer
from local_sagemaker.settings import Settings

PROGRAM = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    connection = listener.accept()[0]
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""


class Log:
    def write(self, message):
        print(message)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings for containers that run the small program, which are asked often whether they live."""
    command = lambda self: [sys.executable, "-S", "-c", PROGRAM, str(self.socket)]  # noqa: E731
    monkeypatch.setattr(ContainerProcess, "command", command)
    settings = Settings(home=tmp_path, ping_interval_seconds=0.1, max_failed_pings=2)
    yield settings
    shutil.rmtree(settings.temporary, ignore_errors=True)


def no_spare(settings):
    return SpareContainer(replace(settings, keeps_spare_container=False))


def new_instance(settings, number=0):
    folder = settings.home / str(number)
    return Instance(
        f"i-{number}",
        folder,
        settings=settings,
        objects=None,
        variant_metrics=None,
        log=Log(),
        spare=no_spare(settings),
    )


async def test_thirty_containers_leave_the_pool_of_threads_to_others(settings):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(6))  # as on two cores
    instances = [new_instance(settings, number) for number in range(30)]
    await asyncio.gather(*(instance.start(on_loss=None) for instance in instances))
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
    await asyncio.gather(*(instance.stop() for instance in instances))


def stop_the_process(instance):
    [program] = psutil.Process(instance._container._process.pid).children()
    os.kill(program.pid, signal.SIGSTOP)


def remove_the_sockets(instance):
    shutil.rmtree(instance._settings.temporary)


@pytest.mark.parametrize("accident", [stop_the_process, remove_the_sockets])
async def test_a_container_that_answers_no_more_is_replaced(settings, accident):
    instance = new_instance(replace(settings, ping_seconds=0.5))
    await instance.start(on_loss=None)
    first = instance._container
    accident(instance)
    async with asyncio.timeout(60):
        while instance._container is first or not instance.ready:
            await asyncio.sleep(0.05)
    assert await instance._container.answers_ping()
    await instance.stop()


async def test_a_container_that_accepts_calls_and_answers_none_is_not_waited_for_without_end(tmp_path):
    settings = Settings(home=tmp_path, model_load_seconds=0.1, ping_seconds=0.1)
    process = ContainerProcess("i-1", tmp_path, settings=settings, log=None, spare=no_spare(settings))

    silent = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="lsm-") as folder:  # the path of a socket must be short
        process.socket = Path(folder, "s")
        server = await asyncio.start_unix_server(lambda *_: silent.wait(), process.socket)
        process._connections = ConnectionPool(process.socket, most_idle=1)
        async with asyncio.timeout(30):
            assert not await process.answers_ping()
            with pytest.raises(ContainerLostError):
                await process.call("DELETE", "/models/m")
        process._connections.close()
        silent.set()
        server.close()


def test_the_sockets_lie_where_their_paths_are_short_and_no_other_user_is(tmp_path, monkeypatch):
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "long" * 30)
    assert settings.temporary.parent == Path("/tmp")
    settings.temporary.mkdir(mode=0o755)
    settings.make_temporary()
    assert settings.temporary.stat().st_mode & 0o777 == 0o700
    settings.temporary.rmdir()
    settings.temporary.symlink_to(tmp_path)
    with pytest.raises(FileExistsError, match=str(settings.temporary)):
        settings.make_temporary()
    settings.temporary.unlink()

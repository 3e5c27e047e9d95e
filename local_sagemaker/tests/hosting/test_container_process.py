import asyncio
import tempfile
from pathlib import Path

import pytest

from local_sagemaker.errors import ContainerLostError
from local_sagemaker.hosting import container_process
from local_sagemaker.hosting.connections import ConnectionPool
from local_sagemaker.settings import Settings


def test_a_container_that_accepts_calls_and_answers_none_is_not_waited_for_without_end(tmp_path):
    settings = Settings(home=tmp_path, model_load_seconds=0.1, ping_seconds=0.1)
    process = container_process.ContainerProcess("i-1", tmp_path, settings=settings, log=None)

    async def check(socket):
        silent = asyncio.Event()
        server = await asyncio.start_unix_server(lambda *_: silent.wait(), socket)
        process._connections = ConnectionPool(socket, most_idle=1)
        assert not await process._pings()
        with pytest.raises(ContainerLostError):
            await process.call("DELETE", "/models/m")
        process._connections.close()
        silent.set()
        server.close()

    with tempfile.TemporaryDirectory(prefix="lsm-") as folder:  # the path of a socket must be short
        asyncio.run(asyncio.wait_for(check(Path(folder, "s")), 30))

"""A process that has imported TensorFlow waits to become the container of the next instance."""

import asyncio
import contextlib
from dataclasses import replace

import psutil
import pytest
from clients import eventually, family, gone

from local_sagemaker.hosting.spare_container import SpareContainer
from local_sagemaker.settings import Settings

pytestmark = pytest.mark.slow


def waiting(pid):
    """Return the processes below one that wait to become a container, without their keepers."""
    found = []
    for child in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(child)
            if "--wait" in process.cmdline() and "-S" not in process.cmdline() and "/endpoints/" not in process.cwd():
                found.append(child)
    return found


@pytest.fixture
def spare_pid(service):
    [pid] = eventually(lambda: waiting(service.status.pid))
    return pid


@pytest.fixture
def deploy(service, models_bucket):
    names = []

    def create(name, **environment):
        service.endpoints.create(name, f"s3://{models_bucket}/models/", Environment=environment)
        names.append(name)
        assert service.endpoints.status(name) == "InService"

    yield create
    for name in names:
        service.endpoints.delete(name)


def test_an_endpoint_takes_the_process_that_waits_and_another_one_waits_then(service, deploy, spare_pid):
    deploy("spare", SAGEMAKER_TFS_NUM_BATCH_THREADS="2")
    container = psutil.Process(spare_pid)
    assert "/endpoints/spare/" in container.cwd()
    assert container.pid in service.endpoints.containers()
    assert "predictions" in service.endpoints.invoke("spare", {"instances": [[1.0]]}, target="linear.tar.gz")
    [another] = eventually(lambda: waiting(service.status.pid))
    assert another != spare_pid


def test_a_variable_that_tensorflow_may_read_at_its_import_gets_a_process_of_its_own(service, deploy, spare_pid):
    deploy("variables", TF_ENABLE_ONEDNN_OPTS="0")
    assert waiting(service.status.pid) == [spare_pid]


@pytest.fixture
def settings(tmp_path):
    return replace(Settings(home=tmp_path), keeps_spare_container=True)


async def test_a_spare_that_was_killed_is_not_waited_for(settings, tmp_path):
    spare = SpareContainer(settings)
    spare.start()
    spare._process.kill()
    assert await asyncio.wait_for(spare.take([], environment={}, folder=tmp_path), 30) is None
    spare.stop()


async def test_a_spare_whose_socket_is_gone_is_not_waited_for(settings, tmp_path):
    spare = SpareContainer(replace(settings, ping_seconds=0.1))
    spare.start()
    eventually(spare._socket.exists)
    spare._socket.unlink()
    spare._deadline = 0.0  # it has had its time
    assert await asyncio.wait_for(spare.take([], environment={}, folder=tmp_path), 30) is None


def test_a_server_that_may_start_no_process_does_without(settings, monkeypatch):
    def fail(*_, **__):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr("local_sagemaker.hosting.spare_container.Process", fail)
    spare = SpareContainer(settings)
    spare.start()
    assert spare._process is None


def test_it_ends_with_the_server(settings):
    spare = SpareContainer(settings)
    spare.start()
    [pid] = eventually(lambda: family(spare._process.pid))
    spare.stop()
    eventually(lambda: gone(pid))


async def test_a_spare_that_starts_meanwhile_is_not_mistaken_for_the_one_that_was_taken(settings, tmp_path):
    spare = SpareContainer(settings)
    spare.start()
    first = spare._process
    task = asyncio.create_task(spare.take(["--help"], environment={}, folder=tmp_path))
    await asyncio.sleep(0.1)  # it still imports
    spare.start()
    assert await asyncio.wait_for(task, 120) is first
    assert first.wait(60) == 0  # it printed its help
    assert spare._process.poll() is None
    spare.stop()


async def test_a_deployment_that_is_cancelled_leaves_no_process(settings, tmp_path):
    spare = SpareContainer(settings)
    spare.start()
    keeper = spare._process
    task = asyncio.create_task(spare.take([], environment={}, folder=tmp_path))
    await asyncio.sleep(0.1)  # it still imports
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    eventually(lambda: keeper.poll() is not None)


@pytest.mark.parametrize("chosen", ["no", "maybe"])
def test_a_server_keeps_none_if_its_environment_says_so(monkeypatch, tmp_path, chosen):
    monkeypatch.setenv("LOCAL_SAGEMAKER_SPARE_CONTAINER", chosen)
    if chosen == "maybe":
        with pytest.raises(ValueError, match="Set it to 'yes' or 'no'"):
            Settings(home=tmp_path)
        return
    spare = SpareContainer(Settings(home=tmp_path))
    spare.start()
    assert spare._process is None

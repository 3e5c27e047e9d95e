"""Ranks in processes of their own, as the instances of a training job start them."""

import io
import sys
import tarfile
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from helpers import s3, training
from shared import ranks

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "job_scripts"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mpirun):
    """What each rank of a training with one and four saved, by their number and the kind of model."""
    saved = {}
    for count in (1, 4):
        folder = tmp_path_factory.mktemp("ranks")
        finished = mpirun(count, SCRIPTS / "train_together.py", folder, "plain", "normalized")
        assert finished.returncode == 0, finished.stderr
        saved[count] = {
            kind: [np.load(folder / f"{kind}-{rank}.npz") for rank in range(count)] for kind in ("plain", "normalized")
        }
    return saved


def weights(saved):
    return {name: saved[name] for name in saved if name.startswith("weight")}


def test_ranks_learn_what_one_learns_from_whole_batches(trained):
    first, alone = trained[4]["plain"][0], trained[1]["plain"][0]
    for name, weight in weights(alone).items():
        np.testing.assert_allclose(first[name], weight, rtol=1e-3, atol=1e-5)
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-3)
    assert first["accuracy"] == pytest.approx(alone["accuracy"], abs=1e-6)


def test_each_rank_sees_its_own_part(trained):
    parts = [set(saved["seen"].tolist()) for saved in trained[4]["plain"]]
    assert [len(part) for part in parts] == [16] * 4
    assert set.union(*parts) == set(trained[1]["plain"][0]["seen"].tolist()) == set(range(64))


@pytest.mark.parametrize("kind", ["plain", "normalized"])
def test_weights_and_figures_are_the_same_bits_on_every_rank(trained, kind):
    first, *others = trained[4][kind]
    for other in others:
        for name, weight in weights(first).items():
            assert weight.tobytes() == other[name].tobytes(), name
        assert first["loss"].tobytes() == other["loss"].tobytes()
        assert first["agreed"] == other["agreed"] == 0


def test_each_rank_draws_noise_of_its_own(trained):
    noise = [saved["noise"] for saved in trained[4]["normalized"]]
    assert noise[0].size > 0
    assert len({each.tobytes() for each in noise}) == 4


def test_a_script_that_nobody_started_with_others_trains_alone(monkeypatch):
    ranks.communicator.cache_clear()
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # it need not be installed
    assert (ranks.communicator(), ranks.rank(), ranks.count(), ranks.agree(3)) == (None, 0, 1, 3)
    model, reporter = keras.Sequential([keras.layers.Dense(1)]), keras.callbacks.Callback()
    model.compile(keras.optimizers.SGD())
    ranks.average_gradients(model)
    assert model.optimizer.apply.__func__ is keras.optimizers.SGD.apply
    assert ranks.callbacks(reporter) == [reporter]


def test_a_step_takes_the_mean_of_all_ranks_in_one_exchange(monkeypatch):
    sizes = []

    class Opposite:
        """Another rank, whose gradients cancel those of this one."""

        size = 2

        def Allreduce(self, array, total):
            sizes.append(array.size)
            total[:] = 0

    monkeypatch.setattr(ranks, "communicator", Opposite)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1, clipnorm=1.0), "mean_squared_error")
    ranks.average_gradients(model)
    before = model.get_weights()
    model.fit(np.ones((8, 2), np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 4], batch_size=4, verbose=0)
    assert sizes == [model.count_params()] * 2
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    assert int(model.optimizer.iterations) == 2
    assert not model.jit_compile


def test_a_training_job_of_two_instances_leaves_one_model(connection, local_server, cifar_data):
    uri = s3.upload(connection, cifar_data, connection.dataset_uri("together"))
    result = training.train(
        connection,
        "together",
        entry_script="cifar_train.py",
        channels={"training": uri},
        hyperparameters={"epochs": 2, "batch-size": 16, "width": 8},
        instance_type="ml.c5.xlarge",
        instance_count=2,
    )
    assert result.history["epoch"] == [1, 2]
    with tarfile.open(fileobj=io.BytesIO(s3.read(connection, result.model_uri))) as archive:
        assert {name.split("/")[0] for name in archive.getnames()} <= {".", "1"}
        assert sum(name.endswith("saved_model.pb") for name in archive.getnames()) == 1
    epochs = {host: [line for line in log if line.startswith("epoch ")] for host, log in read_logs(connection, result)}
    assert [len(epochs[host]) for host in ("algo-1", "algo-2")] == [2, 0]
    left = psutil.Process(local_server.pid).children(recursive=True)
    assert [process for process in left if "cifar_train.py" in " ".join(process.cmdline())] == []


def read_logs(connection, result):
    """The lines of each instance."""
    group, logs = "/aws/sagemaker/TrainingJobs", connection.boto.client("logs")
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{result.job_name}/")["logStreams"]
    for stream in streams:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)["events"]
        yield name.split("/")[1].rsplit("-", 1)[0], [event["message"] for event in events]

"""Workers in processes of their own, each with an address of its own, as the instances of a training job."""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from helpers import s3, training
from shared.exchange import open_exchange
from shared.workers import Workers, connect

SCRIPT = Path(__file__).parent / "job_scripts" / "train_together.py"
SECONDS = 300


@pytest.fixture(scope="module")
def start():
    """A function that starts a worker and returns the process."""

    def start(folder, host, hosts, *kinds):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        environment |= {"SM_HOSTS": json.dumps(hosts), "SM_CURRENT_HOST": host, "TRAINING_JOB_NAME": "together"}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, SCRIPT, folder, *kinds], env=environment, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    started = []
    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, start, name_hosts):
    """What the worker of one process saved, and what each of two workers did, by kind of model."""
    single, pair = tmp_path_factory.mktemp("single"), tmp_path_factory.mktemp("pair")
    hosts = name_hosts(2)
    processes = [start(pair, host, hosts, "plain", "normalized") for host in hosts]
    processes.append(start(single, "alone", ["alone"], "plain"))
    for process in processes:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
    saved = {kind: [np.load(pair / f"{kind}-{rank}.npz") for rank in (0, 1)] for kind in ("plain", "normalized")}
    return np.load(single / "plain-0.npz"), saved


def weights(saved):
    return {name: saved[name] for name in saved if name.startswith("weight")}


def test_two_workers_learn_what_one_learns_from_whole_batches(trained):
    single, pairs = trained
    first = pairs["plain"][0]
    for name, weight in weights(single).items():
        np.testing.assert_allclose(first[name], weight, rtol=1e-3, atol=1e-5)
    assert first["loss"] == pytest.approx(single["loss"], rel=1e-3)
    assert first["accuracy"] == pytest.approx(single["accuracy"], abs=1e-6)


def test_each_worker_sees_its_own_part(trained):
    single, pairs = trained
    parts = [set(saved["seen"].tolist()) for saved in pairs["plain"]]
    assert [len(part) for part in parts] == [32, 32]
    assert parts[0] | parts[1] == set(single["seen"].tolist()) == set(range(64))


@pytest.mark.parametrize("kind", ["plain", "normalized"])
def test_weights_and_figures_are_the_same_bits_on_every_worker(trained, kind):
    first, second = trained[1][kind]
    for name, weight in weights(first).items():
        assert weight.tobytes() == second[name].tobytes(), name
    assert first["loss"].tobytes() == second["loss"].tobytes()
    assert first["agreed"] == second["agreed"] == 0


def test_each_worker_draws_noise_of_its_own(trained):
    first, second = (saved["noise"] for saved in trained[1]["normalized"])
    assert first.size == second.size > 0
    assert not np.array_equal(first, second)


def test_a_worker_that_dies_in_a_step_is_named(tmp_path, start, name_hosts, monkeypatch):
    monkeypatch.setenv("TRAINING_JOB_NAME", "together")
    hosts = name_hosts(2)
    first = start(tmp_path, hosts[0], hosts, "plain")
    [connection] = open_exchange(hosts, hosts[1])._sockets.values()
    connection.shutdown(socket.SHUT_WR)  # it takes the weights of the start, but will never send a gradient
    _, errors = first.communicate(timeout=SECONDS)
    assert first.returncode == 1
    assert f"ConnectionError: Training cannot go on without {hosts[1]}" in errors


def test_a_job_of_one_instance_has_one_worker_and_a_plain_optimizer(monkeypatch):
    for hosts in (None, '["algo-1"]'):
        monkeypatch.delenv("SM_HOSTS", raising=False)
        if hosts:
            monkeypatch.setenv("SM_HOSTS", hosts)
        connect.cache_clear()
        assert connect() == Workers(rank=0, count=1, exchange=None)
    model, reporter = keras.Sequential([keras.layers.Dense(1)]), keras.callbacks.Callback()
    model.compile(keras.optimizers.SGD())
    Workers().average_gradients(model)
    assert model.optimizer.apply.__func__ is keras.optimizers.SGD.apply
    assert Workers().callbacks(reporter) == [reporter]
    assert Workers().agree(3) == 3
    Workers().part()


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

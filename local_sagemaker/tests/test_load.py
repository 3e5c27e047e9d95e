"""Many models, many clients, little room, and accidents: nothing wrong, nothing lost, no limit exceeded.

It takes half a minute; LOCAL_SAGEMAKER_LOAD_SECONDS makes it longer. With ``-s`` it prints its figures.
"""

import collections
import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from botocore.exceptions import ClientError
from clients import eventually, running, unix_connection

from local_sagemaker.archives import pack, tree_size
from local_sagemaker.settings import Settings

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("LOCAL_SAGEMAKER_LOAD_SECONDS", "25"))
MODELS, CLIENTS, INSTANCES = 100, 16, 2
WEIGHTS = 16 * 1024  # numbers; 64 KiB
LOADED, ON_DISK = 20, 40  # models that an instance has room for


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """A function that packs a SavedModel that adds its own number to what it is given, and returns the archive."""
    import tensorflow as tf

    class Numbered(tf.Module):
        def __init__(self):
            super().__init__()
            self.number = tf.Variable(0.0)
            self.ballast = tf.Variable(tf.zeros(WEIGHTS))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def add(self, x):
            return {"y": x + self.number + self.ballast[0]}

    folder = tmp_path_factory.mktemp("numbered")
    model = Numbered()
    tf.saved_model.save(model, str(folder / "base" / "1"), signatures={"serving_default": model.add})
    variables = folder / "base" / "1" / "variables" / "variables"
    reader = tf.train.load_checkpoint(str(variables))
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    [number] = [name for name in tensors if name.startswith("number/")]

    def save_numbered(value):
        copy, archive = folder / "copy", folder / f"{value}.tar.gz"
        shutil.copytree(folder / "base", copy)
        shutil.rmtree(copy / "1" / "variables")
        (copy / "1" / "variables").mkdir()
        changed = tensors | {number: np.float32(value)}
        tf.raw_ops.SaveV2(
            prefix=str(copy / "1" / "variables" / "variables"),
            tensor_names=list(changed),
            shape_and_slices=[""] * len(changed),
            tensors=list(changed.values()),
        )
        pack(copy, archive)
        size = tree_size(copy)
        shutil.rmtree(copy)
        return archive, size

    return save_numbered


@pytest.fixture(scope="module")
def busy(tmp_path_factory, save):
    """A server of its own with little room, its endpoint's name, its bucket and its limits."""
    _, size = save(0)
    limits = {"INSTANCE_MEMORY_BYTES": LOADED * (4 * WEIGHTS + 2048), "INSTANCE_DISK_BYTES": ON_DISK * size}
    with running(tmp_path_factory.mktemp("busy"), HOT_MODEL_CALLS=3, **limits) as service:
        bucket = service.buckets.create()
        service.endpoints.create_model("busy", f"s3://{bucket}/models/")
        service.endpoints.create_config("busy", InitialInstanceCount=INSTANCES)
        service.sagemaker.create_endpoint(EndpointName="busy", EndpointConfigName="busy")
        yield service, bucket, limits


class Load:
    """What the threads of the test share."""

    def __init__(self, service, bucket, limits, save):
        self.service, self.bucket, self.limits, self.save = service, bucket, limits, save
        self.live, self.deleted = [], set()
        self.stop = threading.Event()
        self.seconds, self.errors, self.violations = [], collections.Counter(), []
        self.most = {"loaded": 0, "disk": 0}

    def publish(self, number):
        archive, _ = self.save(number)
        self.service.s3.upload_file(str(archive), self.bucket, f"models/{number}.tar.gz")
        archive.unlink()
        self.live.append(number)

    def ask(self, number, x):
        """Call one model; what is wrong with the answer is noted."""
        started = time.monotonic()
        try:
            answer = self.service.endpoints.invoke("busy", {"instances": [x]}, target=f"{number}.tar.gz")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self.errors[code] += 1
            missing = code == "ValidationError" and number in self.deleted
            if not missing and code not in ("ServiceUnavailable", "ModelNotReadyException"):
                self.violations.append(f"model {number}: {error}")
            return False
        self.seconds.append(time.monotonic() - started)
        if answer != {"predictions": [x + number]}:
            self.violations.append(f"model {number} answered {answer} to {x}")
        return True

    def client(self, seed):
        dice = random.Random(seed)
        while not self.stop.is_set():
            live = list(self.live)
            number = dice.choice(live[-10:]) if dice.random() < 0.6 else dice.choice(live)
            self.ask(number, float(dice.randrange(1000)))

    def change_models(self):
        """Add a model and delete one, again and again."""
        for number in itertools.count(MODELS + 1):
            if self.stop.wait(0.3):
                return
            self.publish(number)
            gone = self.live[random.randrange(MODELS // 2)]
            self.deleted.add(gone)
            self.live.remove(gone)
            self.service.s3.delete_object(Bucket=self.bucket, Key=f"models/{gone}.tar.gz")

    def kill_containers(self):
        """Kill a container after a third and two thirds of the time."""
        for _ in range(2):
            if self.stop.wait(SECONDS / 3):
                return
            os.kill(random.choice(self.service.endpoints.containers()), signal.SIGKILL)

    def watch_limits(self):
        settings = Settings(home=self.service.status.home)
        while not self.stop.wait(0.05):
            for disk in (settings.endpoints / "busy").glob("*/*"):
                used = written(disk / "models")
                self.most["disk"] = max(self.most["disk"], used)
                if used > self.limits["INSTANCE_DISK_BYTES"]:
                    self.violations.append(f"{used} bytes on the disk {disk}")
            for path in settings.temporary.iterdir():
                loaded = loaded_models(path)
                self.most["loaded"] = max(self.most["loaded"], loaded)
                if loaded * 4 * WEIGHTS > self.limits["INSTANCE_MEMORY_BYTES"]:
                    self.violations.append(f"{loaded} models in one container")


def written(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(place, name).stat().st_size
    return total


def loaded_models(path):
    """How many models a container says that it has loaded; 0 if it has just been killed."""
    with (
        contextlib.suppress(OSError, http.client.HTTPException, ValueError),
        contextlib.closing(unix_connection(path)) as connection,
    ):
        connection.request("GET", "/models")
        return len(json.loads(connection.getresponse().read()))
    return 0


def test_a_hundred_models_and_sixteen_clients_while_things_go_wrong(busy, save):
    service, bucket, limits = busy
    load = Load(service, bucket, limits, save)
    for number in range(1, MODELS + 1):
        load.publish(number)
    eventually(lambda: service.endpoints.status("busy") == "InService")
    tasks = [load.change_models, load.kill_containers, load.watch_limits]
    threads = [threading.Thread(target=task) for task in tasks]
    threads += [threading.Thread(target=load.client, args=(seed,)) for seed in range(CLIENTS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    while time.monotonic() < started + SECONDS and all(thread.is_alive() for thread in threads[3:]):
        threads[-1].join(0.1)
    load.stop.set()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    calls = len(load.seconds)
    found, hits = service.endpoints.metric("busy", "ModelCacheHit")
    times = statistics.quantiles(load.seconds, n=100)
    figures = {
        "seconds": round(elapsed, 1),
        "answered": calls,
        "per second": round(calls / elapsed, 1),
        "p50 ms": round(times[49] * 1000, 1),
        "p99 ms": round(times[98] * 1000, 1),
        "warm": int(hits),
        "cold": int(found - hits),
        "errors": dict(load.errors),
        "downloads": service.endpoints.metric("busy", "ModelDownloadingTime")[0],
        "unloads": service.endpoints.metric("busy", "ModelUnloadingTime")[0],
        "models added and deleted": len(load.deleted),
        "most models loaded": f"{load.most['loaded']} of {LOADED}",
        "most disk used": f"{load.most['disk'] / limits['INSTANCE_DISK_BYTES']:.0%}",
    }
    print("\n" + json.dumps(figures, indent=1))
    assert load.violations == []
    assert all(not thread.is_alive() for thread in threads)
    assert figures["unloads"] > 0
    assert load.deleted
    for number in load.live:  # whatever happened, every model there is answers now
        assert eventually(lambda number=number: load.ask(number, 1.0))
    assert load.violations == []
    assert len(service.endpoints.containers()) == INSTANCES
    assert all(psutil.pid_exists(process) for process in service.endpoints.containers())

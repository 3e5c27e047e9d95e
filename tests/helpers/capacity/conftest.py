"""An endpoint with more models than fit."""

import json
import shutil
import uuid
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import endpoint, s3
from helpers.capacity import footprint

MODELS, FIT = 48, 16


@pytest.fixture(scope="module")
def crowded(connection, tmp_path_factory):
    """An endpoint with 48 models of 1 MiB and memory for 16 of them: endpoint, target_models, body and fit."""
    folder = tmp_path_factory.mktemp("crowded")
    _save_model(folder / "model" / "1")
    archive = Path(shutil.make_archive(str(folder / "model"), "gztar", folder / "model"))
    models_uri = f"{connection.base_uri}crowded/"
    names = [f"model-{number:02}.tar.gz" for number in range(MODELS)]
    s3.upload_file(connection, archive, models_uri + names[0])
    for name in names[1:]:
        s3.copy(connection, models_uri + names[0], models_uri + name)
    memory = int(footprint.weight_bytes(archive.read_bytes()) * (FIT + 0.5))
    deployed = endpoint.deploy(
        connection,
        f"series-{uuid.uuid4().hex[:8]}",
        models_uri=models_uri,
        instance_type="ml.c5.xlarge",
        environment={"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": str(memory)},
    )
    body = json.dumps({"instances": np.ones((1, 512)).tolist()}).encode()
    yield SimpleNamespace(endpoint=deployed, target_models=names, body=body, fit=FIT)
    deployed.delete()


def _save_model(folder):
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable(tf.random.stateless_uniform((512, 512), (1, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, 512), tf.float32, "x")])
        def call(self, x):
            return {"y": tf.reduce_sum(x @ self.weights, axis=1)}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.call})

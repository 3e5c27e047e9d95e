import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from local_sagemaker.container.servables import Servable
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.engines.saved_models import SavedModel
from local_sagemaker.settings import MEBIBYTE


@pytest.fixture(scope="module", params=["shared", "own"], autouse=True)
def engine(request):
    """Each test runs with the fast engine and with the slow one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_SAGEMAKER_ENGINE", request.param)
        yield request.param


@pytest.fixture(scope="module")
def linear(models, engine):
    servable = Servable("linear", models / "linear" / "10")
    yield servable
    servable.unload()


def ask(servable: Servable, **request: object) -> dict:
    return json.loads(servable.predict(json.dumps(request).encode()))


def test_an_output_without_a_batch_needs_the_column_format(linear):
    assert ask(linear, signature_name="total", inputs=[1, 2]) == {"outputs": 3}
    with pytest.raises(RequestError, match="column format"):
        ask(linear, signature_name="total", instances=[1, 2])


def test_an_image_that_is_none_is_a_refused_request_without_the_runtimes_trimmings(classifiers, tmp_path):
    from local_sagemaker.archives import unpack

    unpack(classifiers["dense"], tmp_path / "dense", max_bytes=10**7, max_members=100)
    model = Servable("dense", tmp_path / "dense" / "1")
    with pytest.raises(RequestError, match=r"(?i)unknown image file format") as failure:
        ask(model, signature_name="serving_bytes", instances=[{"b64": "bm8gaW1hZ2U="}])
    assert "stack traces" not in str(failure.value)
    assert "[Op:" not in str(failure.value)


def test_the_footprint_is_the_weights_and_a_graph_of_its_own(models, engine):
    model = Servable("heavy", models / "heavy" / "1")
    assert MEBIBYTE <= model.engine.weight_bytes < MEBIBYTE + 4096
    graph = 0 if engine == "shared" else SavedModel(models / "heavy" / "1").graph.own_bytes
    assert model.engine.footprint == model.engine.weight_bytes + graph
    model.unload()


@pytest.fixture(scope="module")
def tensorflow_1(tmp_path_factory):
    """A model that TensorFlow 1 saved, in two ways."""
    folder = tmp_path_factory.mktemp("tensorflow-1")
    script = Path(__file__).parents[1] / "saved_models" / "tensorflow_1.py"
    command = [sys.executable, script, folder / "model", folder / "vocabulary.txt"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "model"


@pytest.mark.slow
def test_a_tensorflow_1_model_with_a_lookup_table_and_an_asset(tensorflow_1):
    model = Servable("m", tensorflow_1 / "0003")
    assert model.version == "3"
    assert ask(model, instances=[[1, 2], [3, 4]]) == {"predictions": [[5], [11]]}
    assert ask(model, signature_name="lookup", instances=["dog", "cow"]) == {"predictions": [1, -1]}
    assert ask(model, signature_name="twice", inputs=[[[1]], [[2]]]) == {"outputs": [[[2]], [[4]]]}
    assert ask(model, signature_name="twice", inputs={"some/where": 1.5}) == {"outputs": 3}
    assert ask(model, signature_name="both", inputs={"x": [[1, 2]], "anything": 4}) == {"outputs": 5}
    with pytest.raises(RequestError, match="Missing named input: anything in 'inputs' object"):
        ask(model, signature_name="both", inputs={"x": [[1, 2]]})
    with pytest.raises(RequestError, match="Could not find callback") as failure:  # Python code does not travel
        ask(model, signature_name="python", instances=[[1, 2]])
    assert "Detected at node" not in str(failure.value)
    assert __file__ not in str(failure.value)
    by_simple_save = Servable("m", tensorflow_1 / "2")
    assert ask(by_simple_save, instances=[[1, 2]]) == {"predictions": [[5]]}


@pytest.fixture(scope="module")
def unusual(tmp_path_factory, engine):
    """A model of unusual signatures and without a default one."""
    folder = tmp_path_factory.mktemp("unusual")
    _save_unusual(folder / "1")
    model = Servable("unusual", folder / "1")
    yield model
    model.unload()


def test_a_model_without_the_default_signature_serves_the_others(unusual):
    with pytest.raises(RequestError, match=r'"serving_default" not found in signature def\. The model has: check'):
        ask(unusual, instances=[1])
    assert ask(unusual, signature_name="greet", inputs="world") == {"outputs": "hello world"}


def test_a_type_that_json_cannot_hold_is_refused_with_the_way_out(unusual):
    with pytest.raises(RequestError, match=r"tensor type: half\. Make the model's last layer one of float32"):
        ask(unusual, signature_name="half_out", inputs=[0.5])


@pytest.mark.parametrize("shape", [(3, 5), (1, 2), (0, 2)])
def test_a_shape_that_the_graph_takes_is_answered(linear, shape):
    values = np.arange(math.prod(shape)).reshape(shape)
    assert ask(linear, inputs=values.tolist())["outputs"] == (values * 10).tolist()


@pytest.mark.parametrize("inputs", [[[1, 2, 3]], [1, 2], 5])
def test_a_shape_that_the_graph_does_not_take_is_refused_before_a_kernel_sees_it(unusual, inputs):
    with pytest.raises(RequestError, match=r"^x has shape \[.*\], which the model does not take: ") as failure:
        ask(unusual, signature_name="dense", inputs=inputs)
    assert failure.value.status == 400
    assert not str(failure.value).endswith("..")
    assert ask(unusual, signature_name="dense", inputs=[[1, 2]]) == {"outputs": [[3]]}


def test_more_dimensions_than_the_setting_allows_do_not_reach_tensorflow(unusual, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_MAX_TENSOR_DIMENSIONS", "1")
    assert ask(unusual, signature_name="words", inputs=["a"]) == {"outputs": ["a"]}
    with pytest.raises(RequestError, match="deeper than 1 levels"):
        ask(unusual, signature_name="words", inputs=[["a"]])
    with pytest.raises(RequestError, match="deeper than 1 levels"):
        ask(unusual, signature_name="dense", inputs=[[1, 2]])


def test_a_ragged_output_is_refused_with_the_way_out(unusual):
    with pytest.raises(RequestError, match=r"y: neither an input nor an output may be ragged.*to_tensor\(\)"):
        ask(unusual, signature_name="ragged", inputs=[1, 2])


def test_a_model_written_as_text(unusual, tmp_path):
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(unusual.folder, tmp_path / "1", ignore=shutil.ignore_patterns("saved_model.pb", "fingerprint.pb"))
    document = saved_model_pb2.SavedModel.FromString((unusual.folder / "saved_model.pb").read_bytes())
    with tf.io.gfile.GFile(str(tmp_path / "1" / "saved_model.pbtxt"), "w") as file:
        file.write(text_format.MessageToString(document))
    assert ask(Servable("m", tmp_path / "1"), signature_name="greet", inputs="you") == {"outputs": "hello you"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "inputs", "status", "reason"),
    [
        ("check", [0], 400, "must be positive"),
        ("check", [math.nan], 400, "must be positive"),
        ("enormous", 2**45, 429, "OOM when allocating"),
        ("missing_file", "/nowhere", 404, "/nowhere"),
    ],
)
def test_a_model_that_fails_has_the_status_of_tensorflow_serving(unusual, name, inputs, status, reason):
    with pytest.raises(RequestError, match=reason) as failure:
        ask(unusual, signature_name=name, inputs=inputs)
    assert failure.value.status == status
    assert ask(unusual, signature_name="greet", inputs="you") == {"outputs": "hello you"}  # it still serves


def _save_unusual(folder: Path) -> None:
    import tensorflow as tf

    def signature(dtype=None, shape=(None,)):
        form = [] if dtype is None else [tf.TensorSpec(shape, dtype, "x")]
        return tf.function(input_signature=form)

    class Unusual(tf.Module):
        @signature()
        def constant(self):
            return {"y": tf.constant([1.0])}

        @signature(tf.string, ())
        def greet(self, x):
            return {"y": tf.strings.join(["hello ", x])}

        @signature(tf.float32)
        def half_out(self, x):
            return {"y": tf.cast(x, tf.float16)}

        @signature(tf.string)
        def words(self, x):
            return {"y": tf.identity(x)}

        @signature(tf.float32, (None, 2))
        def dense(self, x):
            return {"y": tf.matmul(x, [[1.0], [1.0]])}

        @signature(tf.int32)
        def ragged(self, x):
            return {"y": tf.ragged.range(x)}

        @signature(tf.float32)
        def check(self, x):
            tf.debugging.assert_positive(x, "must be positive")
            return {"y": x}

        @signature(tf.int64, ())
        def enormous(self, x):
            return {"y": tf.reduce_sum(tf.random.uniform([x]))}

        @signature(tf.string, ())
        def missing_file(self, x):
            return {"y": tf.io.read_file(x)}

    model = Unusual()
    names = ["constant", "greet", "half_out", "words", "dense", "ragged", "check", "enormous", "missing_file"]
    tf.saved_model.save(model, str(folder), signatures={name: getattr(model, name) for name in names})

import shutil

import numpy as np
import pytest


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model whose variables are equal in form, and of two kinds of values."""
    import tensorflow as tf

    class Pair(tf.Module):
        def __init__(self):
            super().__init__()
            self.first = tf.Variable([1.0, 2.0], name="same")
            self.second = tf.Variable([3.0, 4.0], name="same")
            self.half = tf.Variable(tf.constant([0.5], tf.bfloat16))

        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x")])
        def call(self, x):
            return {"y": x * self.first - self.second + tf.cast(self.half, tf.float32)}

    folder = tmp_path_factory.mktemp("pair") / "1"
    model = Pair()
    tf.saved_model.save(model, str(folder), signatures={"s": model.call})
    return folder


def test_weights_are_read_in_the_order_of_the_graph_whatever_their_names(saved):
    from local_sagemaker.engines.saved_models import SavedModel

    model = SavedModel(saved)
    values = [model.read(weight).astype(np.float32).tolist() for weight in model.graph.pure_graphs["s"].weights]
    assert values == [[1, 2], [3, 4], [0.5]]


def test_the_digest_tells_graphs_and_checkpoints_apart_and_nothing_else(saved, tmp_path):
    from local_sagemaker.engines.saved_models import SavedModel

    shutil.copytree(saved, tmp_path / "1")
    assert SavedModel(tmp_path / "1").digest == SavedModel(saved).digest
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        shutil.copytree(saved, tmp_path / "1", dirs_exist_ok=True)
        with (tmp_path / "1" / name).open("ab") as file:
            file.write(b"\0")
        assert SavedModel(tmp_path / "1").digest != SavedModel(saved).digest


def test_a_model_with_other_tags_is_refused(saved, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    from local_sagemaker.engines.pure_bodies import ImpureGraphError
    from local_sagemaker.engines.saved_models import SavedModel

    shutil.copytree(saved, tmp_path / "1")
    document = saved_model_pb2.SavedModel.FromString((saved / "saved_model.pb").read_bytes())
    document.meta_graphs[0].meta_info_def.tags.append("tpu")
    (tmp_path / "1" / "saved_model.pb").write_bytes(document.SerializeToString())
    with pytest.raises(ImpureGraphError, match="'serve' alone"):
        _ = SavedModel(tmp_path / "1").graph.pure_graphs

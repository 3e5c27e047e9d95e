"""Saves models like those that TensorFlow Serving's documentation and tests ask, with TensorFlow 1: FOLDER."""

import sys
from pathlib import Path

import tensorflow.compat.v1 as tf

FOLDER = Path(sys.argv[1])


def info(**tensors):
    return {name: tf.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}


def signature(method, inputs, outputs):
    method_name = f"tensorflow/serving/{method}"
    return tf.saved_model.build_signature_def(info(**inputs), info(**outputs), method_name)


def save(session, path, signatures, *, as_text=False, **options):
    session.run(tf.global_variables_initializer())
    builder = tf.saved_model.Builder(str(FOLDER / path))
    builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures, **options)
    builder.save(as_text)


def half_plus(path, *, offset=2.0, device="cpu", as_text=False, initialized=False):
    """y = x / 2 + offset, y2 = x / 2 + 3, y3 of x2, by reference variables and a graph that parses examples."""
    elsewhere = tf.ConfigProto(allow_soft_placement=True)  # to save it where there is no such device
    with tf.Graph().as_default(), tf.Session(config=elsewhere) as session, tf.device(f"/{device}:0"):
        half, added = tf.Variable(0.5, use_resource=False), tf.Variable(offset, use_resource=False)
        three = tf.Variable(3.0, use_resource=False)
        serialized = tf.placeholder(tf.string, [None])
        one = tf.FixedLenFeature([1], tf.float32)
        with tf.device("/cpu:0"):
            parsed = tf.parse_example(serialized, {"x": one, "x2": one._replace(default_value=[0.0])})
        x, x2 = tf.identity(parsed["x"]), tf.identity(parsed["x2"])
        y, y2, y3 = half * x + added, half * x + three, half * x2 + three
        signatures = {
            "serving_default": signature("predict", {"x": x}, {"y": y}),
            "regress_x_to_y": signature("regress", {"inputs": serialized}, {"outputs": y}),
            "regress_x_to_y2": signature("regress", {"inputs": serialized}, {"outputs": y2}),
            "regress_x2_to_y3": signature("regress", {"inputs": x2}, {"outputs": y3}),
            "classify_x_to_y": signature("classify", {"inputs": serialized}, {"scores": y}),
            "classify_all": signature(
                "classify",
                {"inputs": serialized},
                {"classes": tf.tile([["cat", "dog"]], [tf.size(serialized), 1]), "scores": tf.concat([y, y2], 1)},
            ),
            "classify_vector": signature("classify", {"inputs": serialized}, {"scores": y[:, 0]}),
            "no_method": tf.saved_model.build_signature_def(info(x=x), info(y=y)),
        }
        options = {}
        if initialized:
            asset = FOLDER / "foo.txt"
            asset.write_text("an asset")
            tf.add_to_collection(tf.GraphKeys.ASSET_FILEPATHS, tf.constant(str(asset)))
            options["assets_collection"] = tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS)
            options["main_op"] = tf.group(tf.Variable("", trainable=False, collections=[]).assign("foo.txt"))
        save(session, path, signatures, as_text=as_text, **options)


def counter(path):
    with tf.Graph().as_default(), tf.Session() as session:
        count = tf.Variable(0.0, use_resource=False)
        delta = tf.placeholder(tf.float32)
        outputs = {"get_counter": count, "incr_counter": count.assign_add(1.0), "reset_counter": count.assign(0.0)}
        signatures = {name: signature("predict", {}, {"output": output}) for name, output in outputs.items()}
        added = count.assign_add(delta)
        save(session, path, signatures | {"incr_counter_by": signature("predict", {"delta": delta}, {"output": added})})


half_plus("cpu/00000123", initialized=True)
half_plus("text/123", as_text=True)
half_plus("gpu/123", device="gpu")
half_plus("versions/123")
half_plus("versions/124", offset=3.0)
counter("counter/00000123")
(FOLDER / "versions/123/assets.extra").mkdir()
(FOLDER / "versions/123/assets.extra/mlmd_uuid").write_text("a key of ML Metadata")

"""Saves a TensorFlow 1 model with a lookup table, an asset, an input of unknown rank, and a function left behind."""

import sys
from pathlib import Path

import tensorflow.compat.v1 as tf


def main() -> None:
    folder, vocabulary = Path(sys.argv[1]), Path(sys.argv[2])
    vocabulary.write_text("cat\ndog\n")
    tf.disable_eager_execution()
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        anything = tf.placeholder(tf.float64, None, name="anything")
        words = tf.placeholder(tf.string, [None], name="words")
        weights = tf.get_variable("weights", initializer=[[1.0], [2.0]])
        form = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
        table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(str(vocabulary), *form), -1)
        # What `py_func` leaves in the graph, but for its token "pyfunc_0", which other tests of a process have, too.
        (python,) = tf.raw_ops.PyFunc(input=[x], token="pyfunc_of_another_process", Tout=[tf.float32])
        signature = tf.saved_model.predict_signature_def
        signatures = {
            "serving_default": signature({"x": x}, {"y": tf.matmul(x, weights)}),
            "lookup": signature({"words": words}, {"ids": table.lookup(words)}),
            "twice": signature({"some/where": anything}, {"twice/it": anything * 2}),
            "both": signature({"x": x, "anything": anything}, {"sum": tf.cast(x[0, 0], tf.float64) + anything}),
            "python": signature({"x": x}, {"y": python}),
        }
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        builder = tf.saved_model.Builder(str(folder / "0003"))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            signatures,
            assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS),
            main_op=tf.tables_initializer(),
        )
        builder.save()
        tf.saved_model.simple_save(session, str(folder / "2"), {"x": x}, {"y": tf.matmul(x, weights)})
    vocabulary.unlink()  # the model has a copy


main()

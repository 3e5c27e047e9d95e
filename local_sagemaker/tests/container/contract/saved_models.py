"""Writes the models that the rows beside it ask: ``python saved_models.py FOLDER``."""

import sys
from pathlib import Path

import tensorflow as tf

FOLDER = Path(sys.argv[1])
DTYPES = ["float32", "float64", "half", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
DTYPES += ["uint64", "bool", "string", "complex64", "complex128"]
WEIGHTS = tf.Variable([[1.0, 2.0], [3.0, 4.0]])


def save(path, call, *, other=None, weights=None, **inputs):
    """Write a model with a signature, whose inputs are pairs of dtype and shape, and perhaps another one."""
    module = tf.Module()
    module.weights = weights
    forms = [tf.TensorSpec(shape, dtype, name) for name, (dtype, shape) in inputs.items()]
    module.call = tf.function(call, input_signature=forms)
    signatures = {"serving_default": module.call}
    if other:
        module.other = signatures["other"] = tf.function(other, input_signature=forms)
    tf.saved_model.save(module, str(FOLDER / path), signatures=signatures)


def predict(name, call, *, other=None, weights=None, **inputs):
    save(f"predict/{name}/1", call, other=other, weights=weights, **inputs)


def asserting(x):
    tf.debugging.assert_positive(x)
    return {"y": tf.identity(x)}


def half_plus(offset):
    value = tf.Variable(offset)
    return {"call": lambda x: {"y": x / 2 + value}, "weights": value, "x": (tf.float32, [None])}


def twice(x):
    return {"output": x * 2.0}


def sum_and_difference(a, b):
    return {"sum": a + b, "diff": a - b}


def exclaim(s):
    return {"out_bytes": tf.strings.join([s, "!"]), "length": tf.strings.length(s)}


PLAIN = {
    "mul": {"call": twice, "x": (tf.float32, [None, None])},
    "two": {"call": sum_and_difference, "a": (tf.float32, [None]), "b": (tf.float32, [None])},
    "text": {"call": exclaim, "s": (tf.string, [None])},
}
any_float, any_int, any_string = (tf.float32, None), (tf.int32, None), (tf.string, None)
for dtype in DTYPES:
    predict(f"id_{dtype}", lambda x: {"y": tf.identity(x)}, x=(getattr(tf, dtype), None))
    if dtype not in ("string", "float32"):
        predict(f"out_{dtype}", lambda x, dtype=dtype: {"y": tf.cast(x, getattr(tf, dtype))}, x=any_float)
predict("bits32", lambda x: {"y": tf.bitcast(x, tf.float32)}, x=any_int)
predict("bits64", lambda x: {"y": tf.bitcast(x, tf.float64)}, x=(tf.int64, None))
predict(
    "two",
    lambda a, b: {"s": tf.identity(a), "t": tf.identity(b)},
    other=lambda a, b: {"s": a + tf.cast(b, tf.float32)},
    a=any_float,
    b=any_int,
)
predict("twostr", lambda a, b: {"s": tf.identity(a), "t_bytes": tf.identity(b)}, a=any_string, b=any_string)
predict("diffdim", lambda x: {"p": tf.identity(x), "q": tf.constant([1, 2, 3])}, x=any_float)
predict("scalar2", lambda x: {"p": tf.reduce_sum(x), "q": tf.identity(x)}, x=any_float)
predict("bytesout", lambda x: {"y_bytes": tf.identity(x)}, x=any_string)
predict("bytesboth", lambda x: {"y_bytes": tf.identity(x), "z": tf.identity(x)}, x=any_string)
predict("fixed", lambda x: {"y": x * 2.0}, x=(tf.float32, [None, 2]))
predict("dense", lambda x: {"y": tf.matmul(x, WEIGHTS)}, weights=WEIGHTS, x=(tf.float32, [None, 2]))
predict("vec", lambda x: {"y": x + 1.0}, x=(tf.float32, [None]))
predict("scalarin", lambda x: {"y": x + 1.0}, x=(tf.float32, []))
predict("strvec", lambda x: {"y": tf.strings.length(x)}, x=(tf.string, [None]))
predict("b64in", lambda b64: {"y": tf.identity(b64)}, b64=any_string)
predict("asserting", asserting, x=any_float)
predict("gather", lambda x: {"y": tf.gather([10.0, 20.0, 30.0], x)}, x=any_int)
letters = {"f": tf.float32, "d": tf.float64, "i": tf.int32, "l": tf.int64, "b": tf.bool, "s": tf.string}
predict(
    "mixed",
    lambda f, d, i, l, b, s: {"f": f + 0, "d": d + 0, "i": i + 0, "l": l + 0, "b": ~~b, "s": tf.identity(s)},  # noqa: E741
    **{name: (dtype, None) for name, dtype in letters.items()},
)

save("single/hp/1", **half_plus(2.0))
save("single/io/1", **half_plus(2.0))
for name, model in PLAIN.items():
    save(f"single/{name}/1", **model)
    save(f"models/{name}/model/1", **model)
save("models/hp2/model/1", **half_plus(2.0))
save("models/hp3/model/2", **half_plus(3.0))
save("models/hp3/model/00000010", **half_plus(4.0))
save("models/nested/model/export/1", **half_plus(2.0))
for name in ("emptydir/model", "nonnum/model/abcde", "numempty/model/1"):
    (FOLDER / "models" / name).mkdir(parents=True)

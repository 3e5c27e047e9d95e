"""Export of a Keras classifier as a SavedModel that TensorFlow Serving loads."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from shared.decoding import decode

# TensorFlow Serving loads the highest numbered folder. A model behind a multi-model endpoint is replaced
# under a new name, never by a new number, so the number stays 1.
VERSION = "1"


def export_classifier(model: keras.Model, folder: Path, *, class_names: list[str], provenance: dict[str, Any]) -> Path:
    """Write a classifier of pixels, (N, H, W, 3), 0 to 255, into C classes to ``folder/1``, and return that path.

    Both signatures return ``label`` (string, (N,), one of the C `class_names`) and ``probabilities`` (float32, (N, C)):

    - ``serving_default`` takes ``instances``: float32 (N, H, W, 3), pixels from 0 to 255;
    - ``serving_bytes`` takes ``image_bytes``: string (N,), each a JPEG or PNG file of any size up to
      ``decoding.MAX_PIXELS``, turned upright as its EXIF data say.

    ``assets.extra/model.json`` says what the model was made from. The model appears whole or not at all: it is written
    beside the folder and moved there when complete. A model that was there before is replaced.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as workplace:
        complete = Path(workplace) / VERSION
        _write_signatures(model, complete, class_names=class_names)
        _write_card(model, complete, class_names=class_names, provenance=provenance)
        target = folder / VERSION
        if target.exists():
            shutil.rmtree(target)
        shutil.move(complete, target)
    return target


def _write_signatures(model: keras.Model, path: Path, *, class_names: list[str]) -> None:
    _, height, width, channels = model.input_shape
    names = tf.constant(class_names)

    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        # Whatever the precision of training: TensorFlow Serving writes no half or bfloat16 as JSON.
        probabilities = tf.cast(model(pixels, training=False), tf.float32)
        label = tf.gather(names, tf.argmax(probabilities, axis=-1))
        return {"label": label, "probabilities": probabilities}

    def decode_one(file_and_index: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return decode(*file_and_index, height=height, width=width)

    def classify_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        files = image_bytes, tf.range(tf.size(image_bytes))
        decoded = tf.TensorSpec((height, width, 3), tf.float32)
        # One at a time: a large photo takes as much memory as hundreds of small ones.
        return classify(tf.map_fn(decode_one, files, fn_output_signature=decoded, parallel_iterations=1))

    # `model.export()` and `archive.track(model)` would store every weight twice (Keras 3.15).
    archive = keras.export.ExportArchive()
    pixels = tf.TensorSpec((None, height, width, channels), tf.float32, name="instances")
    encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", classify, input_signature=[pixels])
    archive.add_endpoint("serving_bytes", classify_bytes, input_signature=[encoded])
    archive.write_out(path, verbose=False)


def _write_card(model: keras.Model, path: Path, *, class_names: list[str], provenance: dict[str, Any]) -> None:
    card = {"class_names": class_names, "image_size": model.input_shape[1], "provenance": provenance}
    # TensorFlow Serving ignores `assets.extra`, and it travels with the model.
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "model.json").write_text(json.dumps(card, indent=2) + "\n")

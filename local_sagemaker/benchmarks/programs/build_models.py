"""Write the models that the serving benchmarks ask: image classifiers, each with a signature for pixels and for files.

The weights are random: neither time nor memory depends on their values.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CLASS_NAMES = [str(digit) for digit in range(10)]


def build_cnn(*, width: int, dense_units: int) -> keras.Model:
    """Build a small network of three convolutions, for images of 32 by 32 pixels."""
    pixels = keras.Input((32, 32, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (width, 2 * width, 4 * width):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D()(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
    return keras.Model(pixels, _classify(layers.Flatten()(x), dense_units=dense_units))


def build_vgg16(*, input_size: int, base_size: int) -> keras.Model:
    """Build VGG16 with a classifier of ten classes, which sees images of `input_size` pixels at `base_size`."""
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(base_size, base_size, 3))
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    x = layers.Resizing(base_size, base_size, antialias=True)(pixels)
    convolutions = keras.Model(base.input, base.get_layer("block5_conv3").output)
    x = convolutions(keras.applications.vgg16.preprocess_input(x))
    return keras.Model(pixels, _classify(layers.GlobalAveragePooling2D()(x), dense_units=256))


BUILDERS = {
    "tiny": lambda: build_cnn(width=8, dense_units=32),
    "small": lambda: build_cnn(width=32, dense_units=256),
    "vgg16-100": lambda: build_vgg16(input_size=100, base_size=96),
    "vgg16-224": lambda: build_vgg16(input_size=224, base_size=224),
}


def export(model: keras.Model, folder: Path) -> None:
    """Write a classifier to ``folder/1``: ``serving_default`` takes pixels, ``serving_bytes`` encoded files."""
    _, height, width, channels = model.input_shape
    names = tf.constant(CLASS_NAMES)

    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(pixels, training=False)
        return {"label": tf.gather(names, tf.argmax(probabilities, axis=-1)), "probabilities": probabilities}

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        return tf.image.resize(tf.cast(image, tf.float32), (height, width), antialias=True)

    def classify_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded = tf.TensorSpec((height, width, channels), tf.float32)
        return classify(tf.map_fn(decode, image_bytes, fn_output_signature=decoded))

    archive = keras.export.ExportArchive()
    pixels = tf.TensorSpec((None, height, width, channels), tf.float32, name="instances")
    encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", classify, input_signature=[pixels])
    archive.add_endpoint("serving_bytes", classify_bytes, input_signature=[encoded])
    archive.write_out(folder / "1", verbose=False)


def copy_with_other_weights(source: Path, target: Path, *, seed: int) -> None:
    """Write a model of the same architecture whose weights differ a little."""
    generator = np.random.default_rng(seed)
    reader = tf.train.load_checkpoint(str(source / "1" / "variables" / "variables"))
    keys = sorted(reader.get_variable_to_shape_map())
    values = [reader.get_tensor(key) for key in keys]
    other = [_perturb(value, generator) for value in values]
    (target / "1" / "variables").mkdir(parents=True)
    # Not `fingerprint.pb`: it names the checkpoint, which is another one here.
    (target / "1" / "saved_model.pb").hardlink_to(source / "1" / "saved_model.pb")
    prefix = str(target / "1" / "variables" / "variables")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=keys, shape_and_slices=[""] * len(keys), tensors=other)


def main() -> None:
    """Write the named models, or copies of one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the model folders go")
    parser.add_argument("models", nargs="*", help=f"one or more of {', '.join(BUILDERS)}")
    parser.add_argument("--copy", type=Path, help="model folder to copy with other weights")
    parser.add_argument("--copies", type=int, default=0, help="how many copies of it, named 0, 1, …")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    for name in options.models:
        export(BUILDERS[name](), options.folder / name)
    for index in range(options.copies):
        copy_with_other_weights(options.copy, options.folder / str(index), seed=index + 1)


def _classify(features: keras.KerasTensor, *, dense_units: int) -> keras.KerasTensor:
    x = layers.Dense(dense_units, activation="relu")(features)
    return layers.Dense(len(CLASS_NAMES), activation="softmax", name="probabilities")(x)


def _perturb(value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return value * (1 + 0.01 * generator.standard_normal(value.shape, dtype=np.float32))
    return value


if __name__ == "__main__":
    main()

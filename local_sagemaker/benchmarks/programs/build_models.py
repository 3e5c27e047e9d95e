"""Write the models that the serving benchmarks ask, as the training scripts export them.

The weights are random: neither time nor memory depends on their values. Run it with `training_scripts` on
`PYTHONPATH`; the benchmarks do.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import cifar_train
import sign_language_train
from exporting import export_classifier

CLASS_NAMES = [str(digit) for digit in range(10)]


def build_cnn(*, width: int, dense_units: int) -> keras.Model:
    """Build the network of the CIFAR-10 script."""
    return cifar_train.build_model(image_size=32, class_count=10, width=width, dense_units=dense_units, dropout=0.2)


def build_vgg16(*, input_size: int, base_size: int) -> keras.Model:
    """Build the network of the sign-language script.

    Args:
        input_size: Height and width of the images that come in, in pixels.
        base_size: Height and width that VGG16 sees, in pixels.

    Returns:
        Model from pixels 0 to 255, (N, input_size, input_size, 3), to probabilities (N, 10).
    """
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(base_size, base_size, 3))
    frozen = sign_language_train.build_frozen_part(
        base, input_size=input_size, last_layer=sign_language_train.LAST_FROZEN_LAYERS[1]
    )
    trained = sign_language_train.build_trained_part(
        base, trained_blocks=1, class_count=10, dense_units=256, dropout=0.5
    )
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    return keras.Model(pixels, trained(frozen(pixels)))


BUILDERS = {
    "tiny": lambda: build_cnn(width=8, dense_units=32),
    "small": lambda: build_cnn(width=32, dense_units=256),
    "vgg16-100": lambda: build_vgg16(input_size=100, base_size=96),
    "vgg16-224": lambda: build_vgg16(input_size=224, base_size=224),
}


def copy_with_other_weights(source: Path, target: Path, *, seed: int) -> None:
    """Write a model of the same architecture whose weights differ a little.

    Args:
        source: Model folder, the parent of its version folder.
        target: Model folder to create.
        seed: Seed of the differences.
    """
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
        provenance = {"weights": "random", "data": "none"}
        export_classifier(BUILDERS[name](), options.folder / name, class_names=CLASS_NAMES, provenance=provenance)
    for index in range(options.copies):
        copy_with_other_weights(options.copy, options.folder / str(index), seed=index + 1)


def _perturb(value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return value * (1 + 0.01 * generator.standard_normal(value.shape, dtype=np.float32))
    return value


if __name__ == "__main__":
    main()

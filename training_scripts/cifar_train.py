"""Train a small AlexNet on CIFAR-10.

Three convolutional and two dense layers, as in Krizhevsky, Sutskever and Hinton, "ImageNet Classification
with Deep Convolutional Neural Networks" (2012), cut down to images of 32 x 32 pixels and brought up to date:
3 x 3 kernels, batch normalization, augmentation instead of local response normalization, and Muon as the optimizer.
"""

import argparse

from shared import keras, layers
from shared.arguments import create_parser, fraction, parse, positive_int
from shared.augmentation import mirror_and_shift
from shared.fitting import begin, train_classifier
from shared.optimizers import Muon


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_parser(
        "Train a small AlexNet on CIFAR-10.",
        epochs=5,
        batch_size=256,
        learning_rate=3e-2,
        weight_decay=5e-2,
        label_smoothing=0.1,
    )
    parser.add_argument(
        "--width",
        type=positive_int,
        default=32,
        help="filters of the first convolution; the second has 2x, the third 4x",
    )
    parser.add_argument("--dense-units", type=positive_int, default=256, help="units of the dense layer")
    parser.add_argument("--dropout", type=fraction, default=0.2, help="share of dense units left out")
    return parser


def build_model(*, image_size: int, class_count: int, width: int, dense_units: int, dropout: float) -> keras.Model:
    """Build the network, from raw pixels to probabilities.

    Args:
        image_size: Height and width of an image, in pixels.
        class_count: Number of classes C.
        width: Filters of the first convolution.
        dense_units: Units of the first dense layer.
        dropout: Share of its units left out in a training step.

    Returns:
        Model from pixels 0 to 255, (N, H, W, 3), to probabilities (N, C).
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (width, 2 * width, 4 * width):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        # Pooling comes first because it leaves a quarter of the work to the two layers after it.
        x = layers.MaxPooling2D()(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)

    x = layers.Flatten()(x)
    x = layers.Dense(dense_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    probabilities = layers.Dense(class_count, activation="softmax", name="probabilities")(x)
    return keras.Model(pixels, probabilities, name="cifar")


def main() -> None:
    """Train, evaluate, report, export."""
    args = parse(create_arguments())
    splits = begin(args)
    model = build_model(
        image_size=splits.image_size,
        class_count=len(splits.class_names),
        width=args.width,
        dense_units=args.dense_units,
        dropout=args.dropout,
    )
    train_classifier(model, splits.images, splits, args, optimizer=Muon, augment=mirror_and_shift)


if __name__ == "__main__":
    main()

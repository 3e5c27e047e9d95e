"""Train a small AlexNet on CIFAR-10.

Three convolutional and two dense layers, as in Krizhevsky, Sutskever and Hinton, "ImageNet Classification
with Deep Convolutional Neural Networks" (2012), cut down to images of 32 x 32 pixels and brought up to date:
3 x 3 kernels, batch normalization, and augmentation instead of local response normalization.
"""

import argparse

import keras
from keras import layers

from arguments import create_parser, fraction, hyperparameters, parse, positive_int
from augmentation import mirror_and_shift
from batching import steps_per_epoch
from compiling import compile_model
from determinism import make_deterministic
from exporting import export_classifier
from fitting import fit, predict
from reporting import describe_origin, write_reports
from splits import load_splits
from workers import connect


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_parser("Train a small AlexNet on CIFAR-10.", epochs=5, batch_size=128, learning_rate=3e-3)
    parser.add_argument(
        "--width",
        type=positive_int,
        default=32,
        help="filters of the first convolution; the second has 2x, the third 4x",
    )
    parser.add_argument("--dense-units", type=positive_int, default=256, help="units of the dense layer")
    parser.add_argument("--dropout", type=fraction, default=0.3, help="share of dense units left out")
    parser.add_argument("--weight-decay", type=fraction, default=1e-2, help="weight decay of AdamW")
    parser.add_argument("--label-smoothing", type=fraction, default=0.0, help="softens the one-hot labels")
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
    workers = connect()
    # The random weights of the first worker go to all; beyond them, each worker draws noise of its own.
    threads = make_deterministic(seed=args.seed + workers.rank, threads=args.threads)

    splits = load_splits(args.data_dir)
    class_count = len(splits.class_names)
    print(f"data: {splits.summary()}", flush=True)
    print("weights: none, trained from scratch", flush=True)

    steps = steps_per_epoch(len(splits.train.labels), batch_size=args.batch_size)
    model = build_model(
        image_size=splits.image_size,
        class_count=class_count,
        width=args.width,
        dense_units=args.dense_units,
        dropout=args.dropout,
    )
    compile_model(
        model,
        learning_rate=args.learning_rate,
        steps=args.epochs * steps,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        workers=workers,
    )
    print(f"model: {model.count_params():,} parameters", flush=True)

    provenance = describe_origin(
        data=splits.description,
        weights={"origin": "none", "description": "trained from scratch"},
        seed=args.seed,
        threads=threads,
        workers=workers.count,
        hyperparameters=hyperparameters(args),
    )
    history = fit(model, splits.images, splits, args, provenance=provenance, augment=mirror_and_shift, workers=workers)
    # All have the same weights now, and one of them is enough to evaluate and export.
    if workers.is_first:
        evaluation = write_reports(
            args.output_data_dir,
            splits=splits,
            history=history,
            probabilities=predict(model, splits.images[1:]),
            provenance=provenance,
        )
        path = export_classifier(model, args.model_dir, class_names=splits.class_names, provenance=provenance)
        print(f"test accuracy {evaluation['test']['accuracy']:.4f}; model in {path}", flush=True)
    workers.part()


if __name__ == "__main__":
    main()

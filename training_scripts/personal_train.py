"""Train one network that all users share, and on top of it one small model for each of them.

The first blocks of VGG16 stay as they were pretrained, and what they make of the images is computed once for all. A
small network on top of them trains on everybody's images: that is the shared model. Each user then gets a last layer
of their own: `heads` fits all of them at once, and `archives` writes a hundred models in seconds.
"""

import argparse
import time

from shared import keras, layers
from shared.arguments import create_parser, fraction, parse, positive_int
from shared.augmentation import shift
from shared.features import compute_features
from shared.fitting import begin, compile_model, fit
from shared.inputs import load_users
from shared.personal import EMBEDDING, HEAD, TRAINED, make_personal_models
from shared.pretrained import add_vgg16_arguments, build_frozen_part, load_vgg16_base
from shared.reporting import describe_provenance


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_parser(
        "Train a shared network and one small model for each user.",
        epochs=12,
        batch_size=32,
        learning_rate=2e-3,
        weight_decay=1e-4,
        label_smoothing=0.05,
    )
    add_vgg16_arguments(parser, image_size=48)
    frozen = "blocks of VGG16 that are kept; two weigh 1 MB in every archive, three 7 MB"
    parser.add_argument("--frozen-blocks", type=int, choices=(1, 2, 3), default=2, help=frozen)
    parser.add_argument("--embedding-units", type=positive_int, default=64, help="numbers that a head reads")
    parser.add_argument("--dropout", type=fraction, default=0.3, help="share of units left out")
    return parser


def build_trained_part(
    feature_shape: tuple[int, int, int], *, class_count: int, embedding_units: int, dropout: float
) -> keras.Model:
    """Build the part that trains on everybody's images: features, (N, *feature_shape), to probabilities (N, C).

    In between are an embedding of so many units and a head on that; `dropout` is the share of units left out in a step.
    """
    x = features = keras.Input(feature_shape, name="features")
    for filters in (64, 128):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
        # The features of VGG16 run to hundreds; without this the next layer does not learn.
        x = layers.BatchNormalization()(x)
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    x = layers.Dense(embedding_units, activation="relu", name=EMBEDDING)(x)
    x = layers.Dropout(dropout)(x)
    probabilities = layers.Dense(class_count, activation="softmax", name=HEAD)(x)
    return keras.Model(features, probabilities, name=TRAINED)


def main() -> None:
    """Compute features, train the shared network, fit a head for each user, report, write the archives."""
    args = parse(create_arguments())
    splits = begin(args)
    users = load_users(args.data_dir, splits)
    base, weights = load_vgg16_base(args.weights_dir, image_size=args.image_size)
    provenance = describe_provenance(args, splits, weights=weights)

    started = time.perf_counter()
    last_layer = f"block{args.frozen_blocks}_pool"
    frozen = build_frozen_part(base, input_size=splits.image_size, last_layer=last_layer)
    features = compute_features(frozen, splits.images)
    seconds = {"features": time.perf_counter() - started}

    started = time.perf_counter()
    trained = build_trained_part(
        frozen.output_shape[1:],
        class_count=len(splits.class_names),
        embedding_units=args.embedding_units,
        dropout=args.dropout,
    )
    compile_model(trained, args, image_count=len(splits.train.labels), clipnorm=1.0)
    history = fit(trained, features, splits, args, provenance=provenance, augment=shift)
    seconds["shared"] = time.perf_counter() - started

    # A copy, because the archives have no use for the optimizer.
    finished = keras.models.clone_model(trained)
    finished.set_weights(trained.get_weights())
    pixels = keras.Input(frozen.input_shape[1:], name="images")
    network = keras.Model(pixels, finished(frozen(pixels)), name="personal")
    make_personal_models(
        network, features, splits, users, args, history=history, provenance=provenance, seconds=seconds
    )


if __name__ == "__main__":
    main()

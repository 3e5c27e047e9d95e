"""Fine-tune VGG16 on hand signs for the digits 0 to 9.

The first layers of VGG16, eight of its thirteen convolutions unless you choose otherwise, stay as they were pretrained.
What they make of an image never changes, so it is computed once for every image and kept. The rest of VGG16 and a new
classifier train on that.
"""

import argparse

from shared import keras, layers
from shared.arguments import create_parser, fraction, parse, positive_int
from shared.features import compute_features
from shared.fitting import begin, train_classifier
from shared.pretrained import add_vgg16_arguments, build_frozen_part, load_vgg16_base

# The new classifier is random at first; clipping keeps its gradients from undoing the pretrained layers.
CLIPNORM = 1.0


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_parser(
        "Fine-tune VGG16 on hand signs for the digits 0 to 9.",
        epochs=3,
        batch_size=32,
        learning_rate=5e-4,
        weight_decay=1e-4,
        label_smoothing=0.05,
    )
    add_vgg16_arguments(parser, image_size=56)
    parser.add_argument(
        "--trained-layers",
        type=int,
        choices=range(7),
        default=5,
        help="convolutions of VGG16, counted from its end, that train with the new classifier; the others stay frozen",
    )
    parser.add_argument("--dense-units", type=positive_int, default=256, help="units of the dense layer")
    parser.add_argument("--dropout", type=fraction, default=0.3, help="share of dense units left out")
    return parser


def last_frozen_layer(base: keras.Model, *, trained_layers: int) -> str:
    """Return the name of the layer whose output is kept if so many convolutions train.

    The pooling at the end of VGG16 counts as none: the new classifier replaces it.
    """
    names: list[str] = [layer.name for layer in base.layers]
    first_trained = [*(name for name in names if "conv" in name), names[-1]][-1 - trained_layers]
    return names[names.index(first_trained) - 1]


def build_trained_part(
    base: keras.Model, *, last_frozen: str, class_count: int, dense_units: int, dropout: float
) -> keras.Model:
    """Build the part that trains, from features (N, h, w, channels) to probabilities (N, C).

    The layers of the pretrained base after `last_frozen`, but for the last one, begin with their weights. A dense layer
    and a classifier are new; `dropout` is the share of the dense layer's units left out in a training step.
    """
    names = [layer.name for layer in base.layers]
    features = keras.Input(base.get_layer(last_frozen).output.shape[1:], name="features")
    x = features
    for layer in base.layers[names.index(last_frozen) + 1 : -1]:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(dense_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    probabilities = layers.Dense(class_count, activation="softmax", name="probabilities")(x)
    return keras.Model(features, probabilities, name="trained")


def main() -> None:
    """Compute the features of the frozen layers, train the others on them, evaluate, report, export."""
    args = parse(create_arguments())
    splits = begin(args)
    base, weights = load_vgg16_base(args.weights_dir, image_size=args.image_size)
    last_frozen = last_frozen_layer(base, trained_layers=args.trained_layers)
    frozen = build_frozen_part(base, input_size=splits.image_size, last_layer=last_frozen)
    features = compute_features(frozen, splits.images)
    trained = build_trained_part(
        base,
        last_frozen=last_frozen,
        class_count=len(splits.class_names),
        dense_units=args.dense_units,
        dropout=args.dropout,
    )
    train_classifier(trained, features, splits, args, weights=weights, frozen=frozen, clipnorm=CLIPNORM)


if __name__ == "__main__":
    main()

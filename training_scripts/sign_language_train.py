"""Fine-tune VGG16 on hand signs for the digits 0 to 9.

The first blocks of VGG16, four of the five unless you choose otherwise, stay as they were pretrained. What they
make of an image never changes, so it is computed once for every image and kept. The rest of VGG16 and a new
classifier train on that.
"""

import argparse

import keras
from keras import layers

from arguments import create_parser, fraction, hyperparameters, parse, positive_int
from batching import steps_per_epoch
from compiling import compile_model
from determinism import make_deterministic
from exporting import export_classifier
from features import CACHES, MEMORY_SHARE, compute_features
from fitting import fit, predict
from pretrained import add_vgg16_arguments, build_frozen_part, load_vgg16_base
from reporting import describe_origin, write_reports
from splits import load_splits
from workers import connect

LAST_LAYER = "block5_conv3"
# The layer whose output is kept, by the number of blocks that train.
LAST_FROZEN_LAYERS = {0: LAST_LAYER, 1: "block4_pool", 2: "block3_pool"}
# The new classifier is random at first; clipping keeps its gradients from undoing the pretrained blocks.
CLIPNORM = 1.0


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_parser(
        "Fine-tune VGG16 on hand signs for the digits 0 to 9.", epochs=6, batch_size=32, learning_rate=5e-4
    )
    add_vgg16_arguments(parser, image_size=96)
    parser.add_argument(
        "--trained-blocks",
        type=int,
        choices=LAST_FROZEN_LAYERS,
        default=1,
        help="blocks of VGG16, counted from its end, that train with the new classifier; the others stay frozen",
    )
    parser.add_argument(
        "--feature-cache",
        choices=CACHES,
        default="auto",
        help="where the features of the frozen part stay; auto takes a file if they need more than "
        f"{MEMORY_SHARE:.0%}% of the available memory",
    )
    parser.add_argument("--dense-units", type=positive_int, default=256, help="units of the dense layer")
    parser.add_argument("--dropout", type=fraction, default=0.5, help="share of dense units left out")
    parser.add_argument("--weight-decay", type=fraction, default=1e-4, help="weight decay of AdamW")
    parser.add_argument("--label-smoothing", type=fraction, default=0.05, help="softens the one-hot labels")
    return parser


def build_trained_part(
    base: keras.Model, *, trained_blocks: int, class_count: int, dense_units: int, dropout: float
) -> keras.Model:
    """Build the part that trains: the last blocks, which begin with pretrained weights, and a new classifier.

    Args:
        base: Pretrained VGG16 base.
        trained_blocks: Blocks at the end of the base that train.
        class_count: Number of classes C.
        dense_units: Units of the dense layer.
        dropout: Share of its units left out in a training step.

    Returns:
        Model from features (N, h, w, channels) to probabilities (N, C).
    """
    names = [layer.name for layer in base.layers]
    last_frozen = names.index(LAST_FROZEN_LAYERS[trained_blocks])
    features = keras.Input(base.layers[last_frozen].output.shape[1:], name="features")
    x = features
    for layer in base.layers[last_frozen + 1 : names.index(LAST_LAYER) + 1]:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(dense_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    probabilities = layers.Dense(class_count, activation="softmax", name="probabilities")(x)
    return keras.Model(features, probabilities, name="trained")


def main() -> None:
    """Compute features, train, evaluate, report, export."""
    args = parse(create_arguments())
    workers = connect()
    # The random weights of the first worker go to all; beyond them, each worker draws noise of its own.
    threads = make_deterministic(seed=args.seed + workers.rank, threads=args.threads)

    splits = load_splits(args.data_dir)
    class_count = len(splits.class_names)
    base, origin = load_vgg16_base(args.weights_dir, image_size=args.image_size)
    print(f"data: {splits.summary()}", flush=True)
    print(f"weights: {origin['origin']}: {origin['description']}", flush=True)

    last_layer = LAST_FROZEN_LAYERS[args.trained_blocks]
    frozen = build_frozen_part(base, input_size=splits.image_size, last_layer=last_layer)
    features = compute_features(frozen, splits.images, cache=args.feature_cache)
    steps = steps_per_epoch(len(splits.train.labels), batch_size=args.batch_size)

    trained = build_trained_part(
        base,
        trained_blocks=args.trained_blocks,
        class_count=class_count,
        dense_units=args.dense_units,
        dropout=args.dropout,
    )
    compile_model(
        trained,
        learning_rate=args.learning_rate,
        steps=args.epochs * steps,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        workers=workers,
        clipnorm=CLIPNORM,
    )
    print(
        f"model: {trained.count_params():,} parameters train, {frozen.count_params():,} are frozen",
        flush=True,
    )

    provenance = describe_origin(
        data=splits.description,
        weights=origin,
        seed=args.seed,
        threads=threads,
        workers=workers.count,
        hyperparameters=hyperparameters(args),
    )
    history = fit(trained, features, splits, args, provenance=provenance, workers=workers)
    # All have the same weights now, and one of them is enough to evaluate and export.
    if workers.is_first:
        evaluation = write_reports(
            args.output_data_dir,
            splits=splits,
            history=history,
            probabilities=predict(trained, features[1:]),
            provenance=provenance,
        )
        model = keras.Model(frozen.input, trained(frozen.output), name="sign_language")
        path = export_classifier(model, args.model_dir, class_names=splits.class_names, provenance=provenance)
        print(f"test accuracy {evaluation['test']['accuracy']:.4f}; model in {path}", flush=True)
    workers.part()


if __name__ == "__main__":
    main()

"""Fine-tune VGG16 on hand signs for the digits 0 to 9.

The first four blocks of VGG16 stay as they were pretrained. What they make of an image never changes, so it
is computed once for every image and kept. The fifth block and a new classifier train on that.
"""

import argparse

import keras
import numpy as np
from keras import layers

from arguments import add_folder, create_parser, fraction, hyperparameters, parse, positive_int
from batching import batches, steps_per_epoch, training_batches
from compiling import compile_model
from exporting import export_classifier
from pretrained import load_vgg16_base
from reporting import EpochReporter, describe_origin, write_reports
from splits import load_splits

LAST_FROZEN_LAYER = "block4_pool"


def parse_args() -> argparse.Namespace:
    """Read the hyperparameters and the folders from the command line."""
    parser = create_parser(
        "Fine-tune VGG16 on hand signs for the digits 0 to 9.", epochs=6, batch_size=32, learning_rate=5e-4
    )
    add_folder(
        parser,
        "--weights-dir",
        variable="SM_CHANNEL_WEIGHTS",
        help="folder with vgg16_base.npz and weights.json, as 03_train_sign_language prepares it",
    )
    parser.add_argument(
        "--image-size",
        type=positive_int,
        default=96,
        help="height and width that VGG16 sees, in pixels; at least 32",
    )
    parser.add_argument("--dense-units", type=positive_int, default=256, help="units of the dense layer")
    parser.add_argument("--dropout", type=fraction, default=0.5, help="share of dense units left out")
    parser.add_argument("--weight-decay", type=fraction, default=1e-4, help="weight decay of AdamW")
    parser.add_argument("--label-smoothing", type=fraction, default=0.05, help="softens the one-hot labels")
    args = parse(parser)
    if args.image_size < 32:
        parser.error(f"--image-size {args.image_size} is too small for VGG16; pass at least 32")
    return args


def build_frozen_part(base: keras.Model, *, input_size: int) -> keras.Model:
    """Build the part that stays as it is: pixels to the features of block 4.

    Args:
        base: Pretrained VGG16 base.
        input_size: Height and width of the images that come in, in pixels. They are resized to what the
            base expects.

    Returns:
        Model from pixels 0 to 255, (N, H, W, 3), to features (N, h, w, 512).
    """
    blocks = keras.Model(base.input, base.get_layer(LAST_FROZEN_LAYER).output)
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    x = layers.Resizing(*base.input_shape[1:3], antialias=True)(pixels)
    x = keras.applications.vgg16.preprocess_input(x)
    return keras.Model(pixels, blocks(x), name="frozen")


def build_trained_part(base: keras.Model, *, class_count: int, dense_units: int, dropout: float) -> keras.Model:
    """Build the part that trains: block 5, which keeps its pretrained weights, and a new classifier.

    Args:
        base: Pretrained VGG16 base.
        class_count: Number of classes C.
        dense_units: Units of the dense layer.
        dropout: Share of its units left out in a training step.

    Returns:
        Model from features (N, h, w, 512) to probabilities (N, C).
    """
    features = keras.Input(base.get_layer(LAST_FROZEN_LAYER).output.shape[1:], name="features")
    x = features
    for name in ("block5_conv1", "block5_conv2", "block5_conv3"):
        x = base.get_layer(name)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(dense_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    probabilities = layers.Dense(class_count, activation="softmax", name="probabilities")(x)
    return keras.Model(features, probabilities, name="trained")


def compute_features(frozen: keras.Model, images: np.ndarray, *, batch_size: int = 32) -> np.ndarray:
    """Run the frozen part over images once, saying how far it is.

    Args:
        frozen: Model from pixels to features.
        images: uint8 array of shape (N, H, W, 3).
        batch_size: Images per step; bounds the memory for what lies between pixels and features.

    Returns:
        float32 array of shape (N, h, w, 512).
    """
    features = np.empty((len(images), *frozen.output_shape[1:]), dtype=np.float32)
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        features[start:stop] = frozen.predict_on_batch(images[start:stop])
        if stop % (10 * batch_size) == 0 or stop == len(images):
            print(f"features {stop}/{len(images)}", flush=True)
    return features


def main() -> None:
    """Compute features, train, evaluate, report, export."""
    args = parse_args()
    keras.utils.set_random_seed(args.seed)

    splits = load_splits(args.data_dir)
    class_count = len(splits.class_names)
    base, origin = load_vgg16_base(args.weights_dir, image_size=args.image_size)
    print(f"data: {splits.summary()}", flush=True)
    print(f"weights: {origin['origin']}: {origin['description']}", flush=True)

    frozen = build_frozen_part(base, input_size=splits.image_size)
    print("Computing the features of the frozen part once, kept in memory as float32", flush=True)
    features = [compute_features(frozen, split.images) for split in (splits.train, splits.validation, splits.test)]
    steps = steps_per_epoch(len(splits.train.labels), batch_size=args.batch_size)
    train = training_batches(
        features[0],
        splits.train.labels,
        class_count=class_count,
        batch_size=args.batch_size,
        seed=args.seed,
        epochs=args.epochs,
    )
    validation, test = (
        batches(inputs, split.labels, class_count=class_count, batch_size=100)
        for inputs, split in zip(features[1:], (splits.validation, splits.test), strict=True)
    )

    trained = build_trained_part(base, class_count=class_count, dense_units=args.dense_units, dropout=args.dropout)
    compile_model(
        trained,
        learning_rate=args.learning_rate,
        steps=args.epochs * steps,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        # The new classifier is random at first; clipping keeps its gradients from undoing block 5.
        clipnorm=1.0,
    )
    print(
        f"model: {trained.count_params():,} parameters train, {frozen.count_params():,} are frozen",
        flush=True,
    )

    reporter = EpochReporter()
    # The data set shuffles itself; `shuffle=False` tells Keras not to warn that it cannot.
    trained.fit(
        train,
        validation_data=validation,
        epochs=args.epochs,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[reporter],
    )

    provenance = describe_origin(
        data=splits.description,
        weights=origin,
        seed=args.seed,
        hyperparameters=hyperparameters(args),
    )
    evaluation = write_reports(
        args.output_data_dir,
        history=reporter.history,
        validation=(splits.validation.labels, trained.predict(validation, verbose=0)),
        test=(splits.test.labels, trained.predict(test, verbose=0)),
        provenance=provenance,
    )
    model = keras.Model(frozen.input, trained(frozen.output), name="sign_language")
    path = export_classifier(model, args.model_dir, class_names=splits.class_names, provenance=provenance)
    print(f"test accuracy {evaluation['test']['accuracy']:.4f}; model in {path}", flush=True)


if __name__ == "__main__":
    main()

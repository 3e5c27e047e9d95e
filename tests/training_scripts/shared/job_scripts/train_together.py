"""One rank of small trainings, for test_ranks.py: what it saw and learned goes to the folder it is given."""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "training_scripts"))

import keras
import numpy as np
from keras import layers

from shared import ranks
from shared.batching import training_batches
from shared.fitting import compile_model


def build_model(kind):
    x = inputs = keras.Input((3,))
    x = layers.Dense(8, activation="relu")(x)
    if kind == "normalized":
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def train(kind):
    keras.utils.set_random_seed(1 + ranks.rank())
    images = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    images[:, 0] = np.arange(64)  # tells which image this is
    batches = training_batches(
        images, np.arange(64) % 2, class_count=2, batch_size=16, seed=1, epochs=2,
        rank=ranks.rank(), rank_count=ranks.count(),
    )  # fmt: skip
    model = build_model(kind)
    arguments = Namespace(epochs=2, batch_size=16, learning_rate=0.1, weight_decay=0.01, label_smoothing=0.0)
    compile_model(model, arguments, image_count=64, clipnorm=0.5)
    ranks.average_gradients(model)
    history = model.fit(
        batches, epochs=2, steps_per_epoch=4, shuffle=False, verbose=0, callbacks=ranks.callbacks()
    ).history
    saved = {f"weight {index}": weight for index, weight in enumerate(model.get_weights())}
    noise = [np.array(layer.seed_generator.state) for layer in model.layers if isinstance(layer, layers.Dropout)]
    seen = [int(image) for batch, _ in batches.take(4) for image in batch[:, 0]]
    return saved | {"noise": np.array(noise), "seen": seen, **history}


def main(folder, kinds):
    for kind in kinds:
        np.savez(folder / f"{kind}-{ranks.rank()}.npz", **train(kind), agreed=ranks.agree(ranks.rank()))


main(Path(sys.argv[1]), sys.argv[2:])

"""Fine-tuning under the same conditions: one pool of images, its splits, and the script's own parts and settings."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import sign_language_train as script
from helpers import datasets
from helpers.datasets import Dataset
from shared.batching import batches, steps_per_epoch, training_batches
from shared.features import compute_features
from shared.fitting import compile_model
from shared.pretrained import load_vgg16_base

DEFAULTS = script.create_arguments().parse_args([])
# As keras.applications.vgg16.preprocess_input subtracts them, in the order blue, green, red.
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)
RIGHT = "right"
PREPROCESSINGS = (RIGHT, "red and blue swapped", "no preprocess_input", "scaled to 0–1")


@dataclass(frozen=True)
class Pool:
    """All images, each once, and where the parts of each split lie among them."""

    images: np.ndarray
    labels: np.ndarray
    splits: dict[str, tuple[np.ndarray, ...]]  # indices of train, validation and test


def make_pool(by_split: dict[str, Dataset]) -> Pool:
    """Join data sets that divide the same images differently."""
    places: dict[bytes, int] = {}
    images, labels, splits = [], [], {}
    for name, dataset in by_split.items():
        parts = []
        for part in (getattr(dataset, part) for part in datasets.SPLITS):
            keys = [image.tobytes() for image in part.images]
            for key, image, label in zip(keys, part.images, part.labels, strict=True):
                if key not in places:
                    places[key] = len(images)
                    images.append(image)
                    labels.append(label)
            parts.append(np.array([places[key] for key in keys]))
        splits[name] = tuple(parts)
    return Pool(np.stack(images), np.array(labels), splits)


def spoil(images: np.ndarray, preprocessing: str) -> np.ndarray:
    """Return pixels that reach VGG16, after its right preprocessing, as if that had been done in another way."""
    if preprocessing == RIGHT:
        return images
    if preprocessing == "red and blue swapped":
        return images[..., ::-1]
    scale = 1.0 if preprocessing == "no preprocess_input" else 1 / 255
    return (images.astype(np.float32) * np.float32(scale) + IMAGENET_MEAN)[..., ::-1]


class Laboratory:
    """Trains on one pool of images from one set of pretrained weights."""

    def __init__(self, pool: Pool, weights_folder: Path, *, epochs: int, seeds: int) -> None:
        """Keep what all trainings share."""
        self.pool, self._weights_folder, self._epochs, self._seeds = pool, weights_folder, epochs, seeds

    def build(self, *, image_size: int, trained_layers: int, image_count: int) -> tuple[keras.Model, keras.Model]:
        """Return the frozen part, and the trained part compiled for a training on so many images."""
        base, _ = load_vgg16_base(self._weights_folder, image_size=image_size)
        last_frozen = script.last_frozen_layer(base, trained_layers=trained_layers)
        frozen = script.build_frozen_part(base, input_size=self.pool.images.shape[1], last_layer=last_frozen)
        classifier = {"class_count": 10, "dense_units": DEFAULTS.dense_units, "dropout": DEFAULTS.dropout}
        trained = script.build_trained_part(base, last_frozen=last_frozen, **classifier)
        self.compile(trained, image_count=image_count)
        return frozen, trained

    def compile(self, model: keras.Model, *, image_count: int) -> None:
        """Compile a model as the script does."""
        arguments = argparse.Namespace(**vars(DEFAULTS) | {"epochs": self._epochs})
        compile_model(model, arguments, image_count=image_count, clipnorm=script.CLIPNORM)

    def features(
        self, indices: np.ndarray | None = None, *, image_size: int, trained_layers: int = 3, preprocessing: str = RIGHT
    ) -> tuple[np.ndarray, float]:
        """Return features of images of the pool, by default all, and the processor seconds that they took."""
        frozen, _ = self.build(image_size=image_size, trained_layers=trained_layers, image_count=DEFAULTS.batch_size)
        images = self.pool.images if indices is None else self.pool.images[indices]
        pixels = spoil(images, preprocessing)
        # The first call builds the graph.
        frozen.predict_on_batch(pixels[:16])
        started = time.process_time()
        (features,) = compute_features(frozen, [pixels])
        return features, time.process_time() - started

    def train(
        self,
        features: np.ndarray,
        *,
        image_size: int,
        trained_layers: int = 3,
        split: str = "random",
        served: dict[str, np.ndarray] | None = None,
    ) -> list[dict[str, Any]]:
        """Train with each seed on what `features` returned for the whole pool, with these settings, and on a split.

        `served` are further features of the validation images, by name, to measure the accuracy on.

        Returns:
            For each seed `seed`, `epochs`, `accuracy`, `served` (accuracy by name), and `seconds`: those of the
            processor for an epoch, without validation.
        """
        train, validation, _ = self.pool.splits[split]
        steps = steps_per_epoch(len(train), batch_size=DEFAULTS.batch_size)
        runs = []
        for seed in range(1, self._seeds + 1):
            keras.utils.set_random_seed(seed)
            _, model = self.build(image_size=image_size, trained_layers=trained_layers, image_count=len(train))
            data = self._training_data(features[train], self.pool.labels[train], seed=seed, epochs=self._epochs)
            started = time.process_time()
            model.fit(data, epochs=self._epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
            seconds = (time.process_time() - started) / self._epochs
            accuracies = {
                name: self._accuracy(model, values, self.pool.labels[validation])
                for name, values in {RIGHT: features[validation], **(served or {})}.items()
            }
            found = {"seed": seed, "epochs": self._epochs, "seconds": seconds}
            runs.append(found | {"accuracy": accuracies[RIGHT], "served": accuracies})
        return runs

    def compare_epochs(self, *, image_size: int, image_count: int, rounds: int) -> dict[str, Any]:
        """Run epochs with the frozen part recomputed and cached, in turn, on the same images with the same parts.

        Returns:
            `rounds`: for "recomputed" and "cached" lists of wall and processor seconds; `ratio`: the median over the
            rounds of the first divided by the second, for both clocks.
        """
        chosen = self.pool.splits["random"][0][:image_count]
        images, labels = self.pool.images[chosen], self.pool.labels[chosen]
        frozen, trained = self.build(image_size=image_size, trained_layers=3, image_count=len(chosen))
        frozen.trainable = False
        whole = keras.Model(frozen.input, trained(frozen.output))
        self.compile(whole, image_count=len(chosen))
        (features,) = compute_features(frozen, [images])
        steps = steps_per_epoch(len(chosen), batch_size=DEFAULTS.batch_size)
        measured: dict[str, list[dict[str, float]]] = {"recomputed": [], "cached": []}
        # Round 0 builds the graphs and does not count.
        for number in range(rounds + 1):
            for name, model, inputs in (("recomputed", whole, images), ("cached", trained, features)):
                data = self._training_data(inputs, labels, seed=number, epochs=1)
                wall, processor = time.perf_counter(), time.process_time()
                model.fit(data, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
                seconds = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
                measured[name] += [seconds] if number else []
        pairs = list(zip(*measured.values(), strict=True))
        ratio = {clock: float(np.median([a[clock] / b[clock] for a, b in pairs])) for clock in ("wall", "processor")}
        return {"image_size": image_size, "image_count": len(chosen), "rounds": measured, "ratio": ratio}

    def _training_data(self, inputs: np.ndarray, labels: np.ndarray, **options: int) -> Any:
        return training_batches(inputs, labels, class_count=10, batch_size=DEFAULTS.batch_size, **options)

    def _accuracy(self, model: keras.Model, features: np.ndarray, labels: np.ndarray) -> float:
        data = batches(features, labels, class_count=10, batch_size=100)
        return float((model.predict(data, verbose=0).argmax(axis=1) == labels).mean())

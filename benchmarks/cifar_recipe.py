"""What each choice of the CIFAR-10 recipe brings, against the original one: accuracy and seconds, several seeds.

Starts from the recipe of the original blog post (2 x 2 kernels, Adam, batches of 32) and adds one choice per row, up
to `training_scripts/cifar_train.py` as it is. Every training is a process of its own; all recipes of one seed run
before the next seed begins, so that a busy minute of the machine does not fall on one recipe alone. Seconds are
processor seconds, which other programs on the machine disturb least; divide them by the cores in use.

    python benchmarks/cifar_recipe.py --data FOLDER     # a folder with CIFAR-10 as train/ and test/
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "training_scripts")]

# Batch size, learning rate, weight decay and label smoothing of the recipes without Muon.
ADAMW = {"batch_size": 128, "learning_rate": 3e-3, "weight_decay": 1e-2, "label_smoothing": 0.0}


@dataclass(frozen=True)
class Recipe:
    """One way to train the network of three convolutional and two dense layers."""

    name: str
    kernel_size: int = 2
    filters: tuple[int, int, int] = (16, 32, 64)
    model_of_script: bool = False  # with batch normalization after pooling, in batches of 128
    adamw: bool = False  # with the schedule of cifar_train.py, instead of Adam at a constant rate
    augmentation: bool = False
    muon: bool = False  # with the batches and the label smoothing of cifar_train.py


def list_recipes() -> list[Recipe]:
    """Return the recipes, each with one choice more than the one before."""
    recipes = [Recipe("original: 2×2 kernels, Adam, batches of 32")]

    def add(name: str, **changes: Any) -> None:
        recipes.append(replace(recipes[-1], name=name, **changes))

    add("3×3 kernels; 32, 64, 128 filters", kernel_size=3, filters=(32, 64, 128))
    add("batch normalization, batches of 128", model_of_script=True)
    add("AdamW, warm-up and cosine", adamw=True)
    add("mirrored and shifted images", augmentation=True)
    add("Muon, smoothed labels: cifar_train.py as it is", muon=True)
    return recipes


def build_model(recipe: Recipe) -> Any:
    """Build the network of a recipe."""
    import keras
    from keras import layers

    import cifar_train

    if recipe.model_of_script:
        defaults = cifar_train.create_arguments().parse_args([])
        return cifar_train.build_model(
            image_size=32,
            class_count=10,
            width=recipe.filters[0],
            dense_units=defaults.dense_units,
            dropout=defaults.dropout,
        )
    pixels = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in recipe.filters:
        x = layers.Conv2D(filters, recipe.kernel_size, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(500, activation="relu")(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(pixels, layers.Dense(10, activation="softmax")(x))


def choose_arguments(recipe: Recipe, *, epochs: int) -> argparse.Namespace:
    """Return the arguments of `cifar_train.py` with which a recipe trains."""
    import cifar_train

    arguments = cifar_train.create_arguments().parse_args([])
    arguments.epochs = epochs
    if not recipe.muon:
        vars(arguments).update(ADAMW)
    if not recipe.model_of_script:
        arguments.batch_size = 32
    return arguments


def train(recipe: Recipe, *, data: Path, epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train once in this process.

    Returns:
        Lists with a value per epoch, `val_accuracy` and `seconds` (of the processor), and `test_accuracy`.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from shared.augmentation import mirror_and_shift
    from shared.batching import batches, steps_per_epoch, training_batches
    from shared.fitting import compile_model
    from shared.inputs import load_splits
    from shared.optimizers import Muon

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    splits = load_splits(data)
    arguments = choose_arguments(recipe, epochs=epochs)
    image_count = len(splits.train.labels)
    train_batches = training_batches(
        splits.train.images, splits.train.labels, class_count=10, batch_size=arguments.batch_size, seed=seed,
        epochs=epochs, augment=mirror_and_shift if recipe.augmentation else None,
    )  # fmt: skip
    validation, test = (
        batches(split.images, split.labels, class_count=10, batch_size=500)
        for split in (splits.validation, splits.test)
    )
    model = build_model(recipe)
    if recipe.adamw:
        optimizer = Muon if recipe.muon else keras.optimizers.AdamW
        compile_model(model, arguments, image_count=image_count, optimizer=optimizer)
    else:
        model.compile(keras.optimizers.Adam(1e-3), loss="categorical_crossentropy", metrics=["accuracy"])
    clock = [time.process_time()]

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            clock.append(time.process_time())

    history = model.fit(
        train_batches, validation_data=validation, epochs=epochs, shuffle=False, verbose=0, callbacks=[Clock()],
        steps_per_epoch=steps_per_epoch(image_count, batch_size=arguments.batch_size),
    )  # fmt: skip
    return {
        "val_accuracy": [round(value, 4) for value in history.history["val_accuracy"]],
        "seconds": np.diff(clock).round(1).tolist(),
        "test_accuracy": round(model.evaluate(test, verbose=0)[1], 4),
    }


def run_all(recipes: list[Recipe], *, data: Path, epochs: int, seeds: int, threads: int) -> Iterator[dict[str, Any]]:
    """Train every recipe with every seed, each in a process of its own, and yield the results."""
    for seed in range(1, seeds + 1):
        for number, recipe in enumerate(recipes):
            print(f"seed {seed} of {seeds}: {recipe.name}", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--data", data, "--epochs", epochs, "--threads", threads]
            command += ["--train-one", number, seed]
            finished = subprocess.run(
                list(map(str, command)),
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            yield {"recipe": recipe.name, "seed": seed, **json.loads(finished.stdout.splitlines()[-1])}


def summarize(recipes: list[Recipe], runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row per recipe: name, test accuracy with its spread over the seeds, gain, seconds of an epoch."""
    import numpy as np

    rows, before = [], None
    for recipe in recipes:
        own = [run for run in runs if run["recipe"] == recipe.name]
        accuracies = np.array([run["test_accuracy"] for run in own])
        seconds = np.median([run["seconds"] for run in own])
        mean = accuracies.mean()
        gain = "" if before is None else f"{100 * (mean - before):+.1f}"
        spread = f" ± {accuracies.std(ddof=1):.3f}" if len(own) > 1 else ""
        rows.append([recipe.name, f"{mean:.3f}{spread}", gain, f"{seconds:.0f}"])
        before = mean
    return rows


def main() -> None:
    """Run the benchmark, or one of its trainings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", default="sample", help='"sample", or a folder with train/ and test/ (CIFAR-10)')
    parser.add_argument("--epochs", type=int, default=10, help="passes over the images (default: 10)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per recipe (default: 3)")
    parser.add_argument("--limit", type=int, help="at most so many training images")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of TensorFlow (default: all)")
    parser.add_argument(
        "--keep", action="store_true", help="keep the results in notebooks/measurements, for notebook 02"
    )
    parser.add_argument("--train-one", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    recipes = list_recipes()
    options = {"epochs": arguments.epochs, "threads": arguments.threads}
    if arguments.train_one:
        number, seed = arguments.train_one
        print(json.dumps(train(recipes[number], data=Path(arguments.data), seed=seed, **options)))
        return

    import record
    from helpers import datasets, measurements, plots

    dataset = datasets.load_cifar(arguments.data, limit=arguments.limit)
    with tempfile.TemporaryDirectory() as folder:
        datasets.save(dataset, folder)
        runs = list(run_all(recipes, data=Path(folder), seeds=arguments.seeds, **options))
    header = ["recipe: each adds to the one before", "test accuracy", "gain in points", "processor seconds an epoch"]
    rows = summarize(recipes, runs)
    results = {
        "machine": record.describe_machine("tensorflow", "keras"),
        "data": dataset.record,
        "weights": {"provenance": "no pretrained"},
        "settings": {**options, "seeds": arguments.seeds},
        "recipes": [dataclasses.asdict(recipe) for recipe in recipes],
        "runs": runs,
        "table": [header, *rows],
    }
    source = measurements.describe(results)
    figure = plots.accuracy_over_time(runs, title="CIFAR-10, recipe by recipe", source=source)
    path = record.write_results("cifar_recipe", results, figure)
    if arguments.keep:
        record.write_results("cifar_recipe", results, folder=measurements.FOLDER)
    print(f"{source}\n\n{record.markdown_table(header, rows)}")
    print(f"\nAll numbers: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

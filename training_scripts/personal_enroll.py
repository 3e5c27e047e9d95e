"""Make the personal model of a user who comes later, from a few images and the shared model.

The shared network stays as it is: only a head is fitted, in milliseconds.
"""

import argparse
import time

from shared.archives import read_shared
from shared.arguments import add_folder, create_folder_parser, parse, positive_float
from shared.features import compute_features
from shared.fitting import begin
from shared.inputs import load_users
from shared.personal import FROZEN, make_personal_models
from shared.reporting import describe_provenance


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_folder_parser("Make the personal model of a user who comes later.")
    shared = "folder with shared.tar.gz, as personal_train.py leaves it"
    add_folder(parser, "--shared-dir", variable="SM_CHANNEL_SHARED", help=shared)
    strength = "how much of the shared head the personal one keeps; take what personal_train.py found best"
    parser.add_argument("--regularization-strength", type=positive_float, default=1.0, help=strength)
    return parser


def main() -> None:
    """Compute features, fit a head, report, write the archive."""
    args = parse(create_arguments())
    splits = begin(args)
    users = load_users(args.data_dir, splits)
    weights = {"provenance": "shared model", "description": "The shared model of an earlier training."}
    provenance = describe_provenance(args, splits, weights=weights)

    started = time.perf_counter()
    network = read_shared(args.shared_dir)
    features = compute_features(network.get_layer(FROZEN), splits.images)
    make_personal_models(
        network,
        features,
        splits,
        users,
        args,
        strength=args.regularization_strength,
        history={},
        provenance=provenance,
        seconds={"features": time.perf_counter() - started},
    )


if __name__ == "__main__":
    main()

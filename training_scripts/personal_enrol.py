"""Make the personal model of someone who comes later, from a few images and the shared model.

The shared network stays as it is: only a head is fitted, in milliseconds.
"""

import argparse
import time

from archives import read_shared
from arguments import add_folder, create_folder_parser, hyperparameters, parse, positive_float
from determinism import make_deterministic
from features import compute_features
from owners import load_owners
from personal import FROZEN, People, make_personal_models
from reporting import describe_origin
from splits import load_splits


def create_arguments() -> argparse.ArgumentParser:
    """Name the folders and the hyperparameters, with their defaults."""
    parser = create_folder_parser("Make the personal model of someone who comes later.")
    add_folder(
        parser,
        "--shared-dir",
        variable="SM_CHANNEL_SHARED",
        help="folder with shared.tar.gz, as personal_train.py leaves it",
    )
    parser.add_argument(
        "--pull",
        type=positive_float,
        default=1.0,
        help="strength of the pull towards the shared head; take what personal_train.py found best",
    )
    return parser


def main() -> None:
    """Compute features, fit a head, report, write the archive."""
    args = parse(create_arguments())
    threads = make_deterministic(seed=0, threads=args.threads)
    splits = load_splits(args.data_dir)
    owners = load_owners(args.data_dir, splits)
    print(f"data: {splits.summary()}, of {', '.join(owners.names)}", flush=True)

    started = time.perf_counter()
    network = read_shared(args.shared_dir)
    features = compute_features(network.get_layer(FROZEN), splits.images)
    weights = {"origin": "shared model", "description": "The shared model of an earlier training, with its network."}
    evaluation = make_personal_models(
        People(network, splits, owners, features),
        args.model_dir,
        args.output_data_dir,
        pull=args.pull,
        history={},
        provenance=describe_origin(
            data=splits.description, weights=weights, seed=0, threads=threads, hyperparameters=hyperparameters(args)
        ),
        seconds={"features": time.perf_counter() - started},
        with_shared=False,
    )
    shared, personal = evaluation["shared"]["test"]["accuracy"], evaluation["test"]["accuracy"]
    print(f"test accuracy: shared {shared:.4f}, personal {personal:.4f}", flush=True)


if __name__ == "__main__":
    main()

"""Personal models: heads fitted on what a shared network makes of the images, judged beside it, and written."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from archives import write_archives
from comparison import compare
from evaluation import evaluate
from heads import choose_pull, classify, fit_heads, head_of
from owners import Owners
from reporting import write_reports
from splits import Splits

# Names of the parts of a network whose head is replaced.
FROZEN, TRAINED, EMBEDDING, HEAD = "frozen", "trained", "embedding", "head"


@dataclass(frozen=True)
class People:
    """Whose models are made, and of what.

    Attributes:
        network: Frozen part and trained part in a row; the trained part has an embedding and ends in a head.
        splits: All images.
        owners: Whose they are.
        features: What the frozen part makes of the training, validation and test images.
    """

    network: keras.Model
    splits: Splits
    owners: Owners
    features: list[np.ndarray]

    @property
    def head(self) -> keras.layers.Dense:
        """The last layer of the network, which each person gets anew."""
        return self.network.get_layer(TRAINED).get_layer(HEAD)

    def embed(self) -> list[np.ndarray]:
        """Compute what the head reads of the training, validation and test images."""
        trained = self.network.get_layer(TRAINED)
        embedding = keras.Model(trained.input, trained.get_layer(EMBEDDING).output)
        return [embedding.predict(features, batch_size=64, verbose=0) for features in self.features]


def make_personal_models(
    people: People,
    model_folder: Path,
    output_folder: Path,
    *,
    pull: float | None = None,
    history: dict[str, list[float]],
    provenance: dict[str, Any],
    seconds: dict[str, float],
    with_shared: bool,
) -> dict[str, Any]:
    """Fit a head for each person, compare it with the shared one, and write reports and archives.

    Both models learn from the training images alone, so that neither has seen more. The validation images choose the
    pull, and the test images judge.

    Args:
        people: Whose models are made.
        model_folder: Where the archives go.
        output_folder: Where the reports go.
        pull: Strength of the pull towards the shared head; by default the validation images choose.
        history: Epochs of the shared network.
        provenance: What the models are made from.
        seconds: How long the steps before took; the reports get it with those of this one.
        with_shared: Whether to write the shared model as well.

    Returns:
        The content of ``evaluation.json``.
    """
    started = time.perf_counter()
    splits, owners = people.splits, people.owners
    train, validation, test = (
        (embedded, getattr(splits, name).labels, getattr(owners, name))
        for name, embedded in zip(("train", "validation", "test"), people.embed(), strict=True)
    )
    common: dict[str, Any] = {"count": len(owners.names), "start": head_of(people.head)}
    found: dict[str, Any] = {}
    if pull is None:
        pull, found["pulls"] = choose_pull(train, validation, **common)
    heads = fit_heads(*train, **common, pull=pull)
    shared = _ask_shared(test, common["start"])
    personal = classify(test[0], test[2], heads)
    took = dict(seconds, heads=time.perf_counter() - started)
    print(f"heads: {len(heads)} in {took['heads']:.1f} s, pull {pull:g}", flush=True)

    started = time.perf_counter()
    paths = write_archives(
        people.network,
        model_folder,
        head=people.head,
        heads=dict(zip(owners.names, heads, strict=True)),
        class_names=splits.class_names,
        provenance={**provenance, "pull": pull},
        with_shared=with_shared,
    )
    took["archives"] = time.perf_counter() - started
    found |= {
        "pull": pull,
        "shared": {"test": evaluate(test[1], shared)},
        "comparison": compare(test[1], test[2], shared=shared, personal=personal),
        "seconds": {name: round(value, 2) for name, value in took.items()},
        "archive_bytes": {path.name: path.stat().st_size for path in paths},
    }
    return write_reports(
        output_folder,
        splits=splits,
        history=history,
        probabilities=[classify(validation[0], validation[2], heads), personal],
        provenance=provenance,
        more=found,
    )


def _ask_shared(test: tuple[np.ndarray, np.ndarray, np.ndarray], head: np.ndarray) -> np.ndarray:
    embedded, labels, _ = test
    return classify(embedded, np.zeros_like(labels), head[None])

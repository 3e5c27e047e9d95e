"""Personal models: heads fitted on what a shared network makes of the images, judged beside it, and written."""

import argparse
import time
from typing import Any

import keras
import numpy as np

from shared.archives import write_archives
from shared.evaluation import compare, evaluate
from shared.fitting import predict
from shared.heads import choose_strength, classify, fit_heads, head_of
from shared.inputs import PARTS, Splits, Users
from shared.reporting import write_reports

# Names of the parts of a network whose head is replaced.
FROZEN, TRAINED, EMBEDDING, HEAD = "frozen", "trained", "embedding", "head"


def make_personal_models(
    network: keras.Model,
    features: list[np.ndarray],
    splits: Splits,
    users: Users,
    arguments: argparse.Namespace,
    *,
    strength: float | None = None,
    history: dict[str, list[float]],
    provenance: dict[str, Any],
    seconds: dict[str, float],
) -> None:
    """Fit a head for each user, compare it with the shared one, and write reports and archives to the script's folders.

    Both models learn from the training images alone, so that neither has seen more. The validation images choose the
    regularization strength, and the test images judge.

    Args:
        network: The shared model: frozen part and trained part in a row; the trained part has an embedding and ends in
            a head.
        features: What the frozen part makes of the training, validation and test images.
        splits: All images.
        users: Whose they are.
        arguments: Those of the script, which name the folders.
        strength: Regularization strength towards the shared head of an earlier training; without one the validation
            images choose, and the shared model is written as well.
        history: Epochs of the shared network.
        provenance: What the models are made from.
        seconds: How long the steps before took; the reports get it with those of this one.
    """
    started = time.perf_counter()
    trained = network.get_layer(TRAINED)
    head = trained.get_layer(HEAD)
    embedding = keras.Model(trained.input, trained.get_layer(EMBEDDING).output)
    train, validation, test = (
        (embedded, getattr(splits, name).labels, getattr(users, name))
        for name, embedded in zip(PARTS, predict(embedding, features), strict=True)
    )
    common: dict[str, Any] = {"count": len(users.names), "start": head_of(head)}
    found: dict[str, Any] = {}
    with_shared = strength is None
    if strength is None:
        strength, found["strengths"] = choose_strength(train, validation, **common)
    heads = fit_heads(*train, **common, strength=strength)
    shared = classify(test[0], np.zeros_like(test[2]), common["start"][None])
    personal = classify(test[0], test[2], heads)
    took = dict(seconds, heads=time.perf_counter() - started)
    print(f"heads: {len(heads)} in {took['heads']:.1f} s, regularization strength {strength:g}", flush=True)

    started = time.perf_counter()
    paths = write_archives(
        network,
        arguments.model_dir,
        head=head,
        heads=dict(zip(users.names, heads, strict=True)),
        class_names=splits.class_names,
        provenance={**provenance, "regularization_strength": strength},
        with_shared=with_shared,
    )
    took["archives"] = time.perf_counter() - started
    found |= {
        "regularization_strength": strength,
        "shared": {"test": evaluate(test[1], shared)},
        "comparison": compare(test[1], test[2], shared=shared, personal=personal),
        "seconds": {name: round(value, 2) for name, value in took.items()},
        "archive_bytes": {path.name: path.stat().st_size for path in paths},
    }
    evaluation = write_reports(
        arguments.output_data_dir,
        splits=splits,
        history=history,
        probabilities=[classify(validation[0], validation[2], heads), personal],
        provenance=provenance,
        more=found,
    )
    accuracies = [each["test"]["accuracy"] for each in (evaluation["shared"], evaluation)]
    print(f"test accuracy: shared {accuracies[0]:.4f}, personal {accuracies[1]:.4f}", flush=True)

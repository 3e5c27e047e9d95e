"""Personal models: what is reported of them is what their archives answer."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def images(users_data):
    with np.load(users_data / "test.npz") as arrays:
        return tf.constant(arrays["images"], tf.float32), arrays["labels"]


def test_accuracies_are_those_of_the_archives(personal_run, images, served_archive):
    evaluation, (pixels, labels) = personal_run.report("evaluation"), images
    users = np.arange(len(labels)) % 4
    own = [served_archive(personal_run, f"user-00{who}") for who in range(4)]
    answers = [own[who](instances=pixels[i : i + 1])["probabilities"].numpy() for i, who in enumerate(users)]
    personal = (np.concatenate(answers).argmax(axis=1) == labels).mean()
    answer = served_archive(personal_run, "shared")(instances=pixels)["probabilities"].numpy()
    shared = (answer.argmax(axis=1) == labels).mean()
    assert evaluation["test"]["accuracy"] == pytest.approx(personal)
    assert evaluation["shared"]["test"]["accuracy"] == pytest.approx(shared)
    assert evaluation["comparison"]["difference"] == pytest.approx(personal - shared)


def test_the_regularization_strength_is_the_one_that_did_best_on_validation_images(personal_run):
    evaluation = personal_run.report("evaluation")
    best = evaluation["strengths"]["strength"].index(evaluation["regularization_strength"])
    assert evaluation["validation"]["accuracy"] == max(evaluation["strengths"]["val_accuracy"])
    assert evaluation["strengths"]["val_accuracy"][best] == evaluation["validation"]["accuracy"]


def test_the_seconds_of_every_step_are_reported(personal_run):
    seconds = personal_run.report("evaluation")["seconds"]
    assert set(seconds) == {"features", "shared", "heads", "archives"} and min(seconds.values()) > 0

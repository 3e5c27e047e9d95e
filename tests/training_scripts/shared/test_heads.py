"""Heads: all users at once give what each alone would, between the shared head and a free one."""

import keras
import numpy as np
import pytest

from shared import heads

COUNT, UNITS, CLASSES = 4, 6, 3


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(1).normal(0, 0.1, (UNITS + 1, CLASSES)).astype(np.float32)


@pytest.fixture(scope="module")
def images():
    """Images of three users, each with a code of their own for the classes; the fourth has none."""
    random = np.random.default_rng(2)
    users = np.repeat([0, 1, 2], [9, 30, 12])
    random.shuffle(users)
    shapes = random.integers(0, CLASSES, len(users))
    embedded = np.eye(UNITS, dtype=np.float32)[shapes] * 4 + random.normal(0, 0.1, (len(users), UNITS))
    return embedded.astype(np.float32), (shapes + users) % CLASSES, users


def fit(images, start, **options):
    return heads.fit_heads(*images, count=COUNT, start=start, **{"strength": 0.1, **options})


def loss(head, start, embedded, labels, strength):
    found = heads.classify(embedded, np.zeros_like(labels), head[None])
    return -np.log(found[np.arange(len(labels)), labels]).sum() + strength / 2 * ((head - start) ** 2).sum()


def test_each_user_gets_the_head_of_a_user_alone(images, start):
    together = fit(images, start, steps=5000)
    embedded, labels, users = images
    for user in range(3):
        own = users == user
        alone = heads.fit_heads(
            embedded[own], labels[own], np.zeros(own.sum(), int), count=1, start=start, strength=0.1, steps=5000
        )
        np.testing.assert_allclose(together[user], alone[0], atol=1e-3)


def test_the_head_is_the_minimum_of_the_loss_that_the_docstring_names(images, start):
    embedded, labels, users = images
    own = users == 1
    head = fit(images, start, steps=5000)[1]
    least = loss(head, start, embedded[own], labels[own], 0.1)
    random = np.random.default_rng(3)
    for _ in range(20):
        elsewhere = head + random.normal(0, 0.05, head.shape).astype(np.float32)
        assert loss(elsewhere, start, embedded[own], labels[own], 0.1) > least


def test_little_regularization_learns_each_users_code_and_much_keeps_the_shared_head(images, start):
    embedded, labels, users = images
    free = fit(images, start, strength=0.01)
    assert (heads.classify(embedded, users, free).argmax(axis=1) == labels).all()
    np.testing.assert_allclose(fit(images, start, strength=1e7), np.broadcast_to(start, free.shape), atol=1e-4)


def test_whoever_has_no_image_keeps_the_shared_head(images, start):
    np.testing.assert_array_equal(fit(images, start)[3], start)


def test_a_head_answers_as_the_layer_that_it_comes_from(images):
    layer = keras.layers.Dense(CLASSES, activation="softmax")
    expected = layer(images[0]).numpy()
    found = heads.classify(images[0], np.zeros_like(images[2]), heads.head_of(layer)[None])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_strength_is_the_best_on_validation_images_and_the_highest_among_equals(images, start):
    strength, tried = heads.choose_strength(images, images, count=COUNT, start=start)
    assert tried["strength"] == list(heads.STRENGTHS) and len(tried["difference_interval"]) == len(heads.STRENGTHS)
    best = [value for value, accuracy in zip(tried["strength"], tried["val_accuracy"], strict=True) if accuracy == 1.0]
    assert strength == max(best) < heads.STRENGTHS[0]
    # Where the shared head is right already, nothing is worth leaving it for.
    embedded, _, users = images
    agreed = heads.classify(embedded, np.zeros_like(users), start[None]).argmax(axis=1)
    assert heads.choose_strength(images, (embedded, agreed, users), count=COUNT, start=start)[0] == heads.STRENGTHS[0]

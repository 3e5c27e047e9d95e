"""Fitting a model: what the scripts have in common, on a few images."""

import argparse

import keras
import numpy as np
import pytest

from shared import fitting
from shared.fitting import compile_model, fit, predict
from shared.inputs import Split, Splits
from shared.reporting import describe_provenance


@pytest.fixture
def splits():
    """Bright and dark images of 4 pixels: 24 to train with, 6 to validate with, 4 to test with."""
    labels = [np.arange(count, dtype=np.int64) % 2 for count in (24, 6, 4)]
    parts = [
        Split(images=np.full((1, 2, 2, 3), 200, np.uint8) * each[:, None, None, None].astype(np.uint8), labels=each)
        for each in labels
    ]
    return Splits(*parts, description={"class_names": ["dark", "bright"], "image_size": 2})


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    pixels = keras.Input((2, 2, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.3), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def options(tmp_path, splits):
    def options(epochs=5, batch_size=8, checkpoint_dir=tmp_path):
        arguments = argparse.Namespace(
            epochs=epochs, batch_size=batch_size, seed=3, threads=0, checkpoint_dir=checkpoint_dir
        )
        return arguments, describe_provenance(arguments, splits)

    return options


def test_a_model_learns_and_tells_how(model, splits, options):
    arguments, provenance = options(checkpoint_dir=None)
    history = fit(model, splits.images, splits, arguments, provenance=provenance)
    assert history["epoch"] == [1, 2, 3, 4, 5]
    assert history["val_accuracy"][-1] == 1
    assert provenance["resumed_at"] == []
    train, validation, test = predict(model, splits.images)
    assert [len(train), len(validation), len(test)] == [24, 6, 4]
    np.testing.assert_array_equal(test.argmax(axis=1), splits.test.labels)


def test_predictions_read_features_batch_by_batch(model, monkeypatch):
    """Features may be in a file because they do not fit into memory."""
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, indices):
            read.append(len(indices))
            return np.asarray(self)[indices]

    monkeypatch.setattr(fitting, "EVALUATION_BATCH", 2)
    images = np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3)
    (watched,) = predict(model, [images.view(Watched)])
    assert sorted(read) == [1, 2, 2]  # tf.data may look up two batches at once, and yields them in order
    np.testing.assert_allclose(watched, model.predict(images, verbose=0), rtol=1e-5)


def test_every_image_of_an_epoch_passes_the_augmentation_once(model, splits, options):
    seen = []

    def augment(batch, seed):
        seen.append(batch.shape)
        return batch

    arguments, provenance = options(epochs=1)
    fit(model, splits.images, splits, arguments, provenance=provenance, augment=augment)
    assert seen == [(8, 2, 2, 3)]  # traced once, for batches of one shape


def settings(**changes):
    return argparse.Namespace(
        **{"epochs": 10, "batch_size": 2, "learning_rate": 0.1, "weight_decay": 0.0, "label_smoothing": 0.0, **changes}
    )


@pytest.mark.parametrize("clipnorm", [None, 1.0])
def test_the_learning_rate_rises_and_falls_to_zero(clipnorm):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    compile_model(model, settings(), image_count=20, clipnorm=clipnorm)
    rates = [float(model.optimizer._learning_rate(step)) for step in range(101)]
    assert rates[0] == 0 and max(rates) == pytest.approx(0.1) and rates.index(max(rates)) == 10
    assert rates[100] == pytest.approx(0, abs=1e-6)
    assert model.optimizer.clipnorm == clipnorm


@pytest.mark.parametrize(
    ("threads", "variable", "told", "given"), [(3, "", 3, [3]), (0, "5", 5, []), (0, "", fitting._count_cores(), [])]
)
def test_the_number_of_threads_is_set_and_told(threads, variable, told, given, cifar_data, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", variable) if variable else monkeypatch.delenv(
        "TF_NUM_INTRAOP_THREADS", raising=False
    )
    set_threads = []
    monkeypatch.setattr(fitting.tf.config.threading, "set_intra_op_parallelism_threads", set_threads.append)
    arguments = argparse.Namespace(seed=1, threads=threads, data_dir=cifar_data)
    fitting.begin(arguments)
    assert (arguments.threads, set_threads) == (told, given)


def test_too_few_images_for_a_batch_are_told_before_anything_is_computed(cifar_data):
    arguments = argparse.Namespace(seed=2**32 - 1, threads=0, data_dir=cifar_data, batch_size=10_000)
    with pytest.raises(ValueError, match=r"fewer than one batch of 10000. Lower --batch-size."):
        fitting.begin(arguments)

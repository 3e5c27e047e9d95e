"""Archives: every one answers bit for bit as an export of its own would."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from shared.archives import read_shared, write_archives
from shared.exporting import export_classifier
from shared.heads import head_of

CLASSES = ["a", "b", "c"]
CARD = {"class_names": CLASSES, "provenance": {"seed": 1}}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    # A second layer of the head's shape: the archives must not change this one.
    biased = {"bias_initializer": "random_normal"}
    x = keras.layers.Dense(3, name="decoy", **biased)(keras.layers.Flatten()(x))
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax", name="head", **biased)(x))


@pytest.fixture(scope="module")
def heads():
    random = np.random.default_rng(5)
    return {f"user-00{number}": random.normal(0, 1, (4, 3)).astype(np.float32) for number in range(2)}


@pytest.fixture(scope="module")
def folder(model, heads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives") / "model"
    paths = write_archives(model, folder, head=model.get_layer("head"), heads=heads, with_shared=True, **CARD)
    assert [path.name for path in paths] == ["shared.tar.gz", "user-000.tar.gz", "user-001.tar.gz"]
    assert sorted(paths) == sorted(folder.iterdir())
    return folder


@pytest.fixture
def unpacked(folder, tmp_path, unpack):
    """A function that unpacks one of the archives and returns the folder of its model."""

    def unpack_one(name):
        unpack(folder / f"{name}.tar.gz", tmp_path / name)
        return tmp_path / name / "1"

    return unpack_one


def answers(path):
    images = np.random.default_rng(6).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    served = tf.saved_model.load(path)
    pixels = served.signatures["serving_default"](instances=tf.constant(images, tf.float32))
    buffer = io.BytesIO()
    Image.fromarray(images[0]).resize((30, 20)).save(buffer, "PNG")
    files = served.signatures["serving_bytes"](image_bytes=tf.constant([buffer.getvalue()]))
    return {f"{kind} {name}": value.numpy() for kind, found in (("pixels", pixels), ("files", files))
            for name, value in found.items()}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shared", "user-000", "user-001"])
def test_an_archive_answers_bit_for_bit_as_an_export_of_its_own(model, heads, unpacked, tmp_path, name):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    if name in heads:
        copy.get_layer("head").set_weights([heads[name][:-1], heads[name][-1]])
    expected = answers(export_classifier(copy, tmp_path / "own", **CARD))
    found = answers(unpacked(name))
    assert expected.keys() == found.keys() and len(found) == 4
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_all_archives_hold_one_graph_and_name_their_user(unpacked):
    paths = {name: unpacked(name) for name in ("shared", "user-000", "user-001")}
    assert len({(path / "saved_model.pb").read_bytes() for path in paths.values()}) == 1
    cards = {name: json.loads((path / "assets.extra" / "model.json").read_text()) for name, path in paths.items()}
    assert cards["user-001"]["user"] == "user-001" and "user" not in cards["shared"]
    # What only the shared archive is for must not weigh on the others, nor a fingerprint tell of another checkpoint.
    for name in ("user-000", "user-001"):
        assert [path.name for path in (paths[name] / "assets.extra").iterdir()] == ["model.json"]
        assert not (paths[name] / "fingerprint.pb").exists()


def test_the_shared_network_comes_back(model, folder):
    images = np.full((2, 8, 8, 3), 90.0, np.float32)
    again = read_shared(folder)
    np.testing.assert_array_equal(head_of(again.get_layer("head")), head_of(model.get_layer("head")))
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-6)


def test_a_missing_or_foreign_shared_archive_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No shared.tar.gz in .*Run 08_one_model_per_user"):
        read_shared(tmp_path)
    (tmp_path / "shared.tar.gz").write_bytes((folder / "user-000.tar.gz").read_bytes())
    with pytest.raises(ValueError, match=r"holds no network"):
        read_shared(tmp_path)


def test_a_head_that_is_not_in_the_export_is_refused(model, heads, tmp_path):
    stranger = keras.layers.Dense(3)
    stranger.build((None, 3))
    with pytest.raises(ValueError, match=r"0 variables of the export hold the head's weights of shape \(3, 3\)"):
        write_archives(model, tmp_path, head=stranger, heads=heads, with_shared=False, **CARD)

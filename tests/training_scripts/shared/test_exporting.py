"""The exported model appears whole or not at all."""

import keras
import pytest
import tensorflow as tf

from shared import exporting


@pytest.fixture
def model():
    pixels = keras.Input((4, 4, 3))
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(pixels)))


def export(model, folder):
    return exporting.export_classifier(model, folder, class_names=["a", "b", "c"], provenance={"seed": 1})


@pytest.mark.slow
def test_an_export_replaces_an_earlier_one(model, tmp_path):
    path = export(model, tmp_path / "model")
    (path / "left over").touch()
    assert export(model, tmp_path / "model") == path == tmp_path.resolve() / "model" / "1"
    assert not (path / "left over").exists() and (path / "saved_model.pb").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_failing_export_leaves_nothing_and_keeps_the_earlier_model(model, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_write_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(model, tmp_path / "model")
    assert not list((tmp_path / "model").iterdir())
    monkeypatch.undo()
    path = export(model, tmp_path / "model")
    monkeypatch.setattr(exporting, "_write_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(model, tmp_path / "model")
    assert (path / "assets.extra" / "model.json").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_probabilities_are_float32_under_every_training_policy(tmp_path, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        pixels = keras.Input((8, 8, 3))
        outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(pixels))
        network = keras.Model(pixels, outputs)
        exporting.export_classifier(network, tmp_path, class_names=["a", "b"], provenance={})
    finally:
        keras.config.set_dtype_policy(before)
    for signature in tf.saved_model.load(str(tmp_path / "1")).signatures.values():
        assert signature.structured_outputs["probabilities"].dtype == tf.float32

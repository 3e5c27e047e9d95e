"""The sign-language script: what stays frozen, what trains, and its refusals."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import sign_language_train as script
from shared.features import compute_features
from shared.pretrained import load_vgg16_base


@pytest.fixture(scope="module")
def base(vgg16_base):
    return load_vgg16_base(vgg16_base, image_size=32)[0]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)


def build_parts(base, trained_layers):
    last_frozen = script.last_frozen_layer(base, trained_layers=trained_layers)
    frozen = script.build_frozen_part(base, input_size=40, last_layer=last_frozen)
    trained = script.build_trained_part(base, last_frozen=last_frozen, class_count=10, dense_units=8, dropout=0.5)
    return frozen, trained


@pytest.mark.parametrize("trained_layers", range(7))
def test_the_two_parts_make_up_vgg16(base, images, trained_layers):
    frozen, trained = build_parts(base, trained_layers)
    (features,) = compute_features(frozen, [images])
    resized = tf.image.resize(tf.cast(images, tf.float32), (32, 32), antialias=True)
    expected = base(keras.applications.vgg16.preprocess_input(resized))
    pooling = next(x for x in trained.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
    rest_of_vgg16 = keras.Model(trained.input, pooling.input)
    pooled = keras.layers.MaxPooling2D()(rest_of_vgg16(features))
    np.testing.assert_allclose(pooled, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max()))


@pytest.mark.parametrize(
    ("trained_layers", "feature_shape"), [(0, (2, 2, 512)), (3, (2, 2, 512)), (5, (4, 4, 512)), (6, (4, 4, 256))]
)
def test_only_the_chosen_layers_and_the_classifier_train(base, trained_layers, feature_shape):
    frozen, trained = build_parts(base, trained_layers)
    assert frozen.output_shape == trained.input_shape == (None, *feature_shape)
    names = [layer.name for layer in trained.layers if layer.trainable_weights]
    last = [f"block{block}_conv{number}" for block in (4, 5) for number in (1, 2, 3)][6 - trained_layers :]
    assert names[:-2] == last and names[-1] == "probabilities"


def test_five_layers_train_unless_told_otherwise():
    parser = script.create_arguments()
    assert parser.parse_args([]).trained_layers == 5
    with pytest.raises(SystemExit):
        parser.parse_args(["--trained-layers", "7"])


def test_the_model_is_of_the_same_kind_whatever_trains(call_main, hands_data, vgg16_base, hands_run, capsys):
    options = ["--epochs", 1, "--image-size", 32, "--trained-layers", 0]
    error, folder = call_main(script.main, "--data-dir", hands_data, "--weights-dir", vgg16_base, *options)
    assert error is None
    log = capsys.readouterr().out
    assert "MiB in a temporary file" in log
    assert "model: 133,898 parameters train, 14,714,688 are frozen" in log
    models = [tf.saved_model.load(path / "1") for path in (folder, hands_run.model)]
    own, other = (model.signatures["serving_default"] for model in models)
    assert own.structured_outputs == other.structured_outputs
    assert own.structured_input_signature == other.structured_input_signature
    shapes = [sorted(tuple(variable.shape) for variable in function.variables) for function in (own, other)]
    assert shapes[0] == shapes[1]


def test_the_exported_model_keeps_the_frozen_weights_and_moves_the_last_layers(hands_run, vgg16_base):
    checkpoint = tf.train.load_checkpoint(hands_run.model / "1" / "variables" / "variables")
    stored = [
        checkpoint.get_tensor(name) for name, shape in checkpoint.get_variable_to_shape_map().items() if len(shape) == 4
    ]
    assert len(stored) == 13
    with np.load(vgg16_base / "vgg16_base.npz") as arrays:
        for name in (name for name in arrays if name.endswith("kernel")):
            is_unchanged = any(np.array_equal(arrays[name], kernel) for kernel in stored)
            assert is_unchanged == (not name.startswith(("block4_conv2", "block4_conv3", "block5"))), name
            # One epoch moves the pretrained weights of the last layers but does not replace them.
            distance = min(np.abs(arrays[name] - k).max() for k in stored if k.shape == arrays[name].shape)
            assert distance < 0.05, name


def test_the_log_and_the_provenance_name_the_origin_of_the_weights(hands_run, vgg16_base):
    origin = json.loads((vgg16_base / "weights.json").read_text())
    assert hands_run.report("provenance")["weights"] == origin
    assert "weights: file: Random arrays of a test." in hands_run.stdout


def test_without_pretrained_weights_nothing_trains(call_main, hands_data, tmp_path):
    error, model_folder = call_main(
        script.main, "--data-dir", hands_data, "--weights-dir", tmp_path, "--image-size", 32
    )
    assert isinstance(error, FileNotFoundError)
    assert "vgg16_base.npz is not in" in str(error) and "Run 01_prepare_data" in str(error)
    assert not model_folder.exists()

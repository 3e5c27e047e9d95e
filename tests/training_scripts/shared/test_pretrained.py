"""The pretrained base is the one in the file, or none."""

import json

import numpy as np
import pytest

from shared.pretrained import load_vgg16_base


@pytest.fixture
def folder(vgg16_base, tmp_path):
    """A folder of its own whose large file is a link, so that a test can replace it."""
    (tmp_path / "vgg16_base.npz").symlink_to(vgg16_base / "vgg16_base.npz")
    (tmp_path / "weights.json").write_bytes((vgg16_base / "weights.json").read_bytes())
    return tmp_path


def test_every_array_is_loaded_into_its_layer(folder):
    base, record = load_vgg16_base(folder, image_size=32)
    with np.load(folder / "vgg16_base.npz") as arrays:
        assert len(arrays) == sum(len(layer.weights) for layer in base.layers) == 26
        for name in arrays:
            layer, weight = name.split("/")
            np.testing.assert_array_equal(getattr(base.get_layer(layer), weight), arrays[name])
    assert record == json.loads((folder / "weights.json").read_text())


@pytest.mark.parametrize("name", ["vgg16_base.npz", "weights.json"])
def test_a_missing_file_is_named_with_the_next_step(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is not in .*Run 01_prepare_data"):
        load_vgg16_base(folder, image_size=32)


@pytest.mark.parametrize("name", ["vgg16_base.npz", "weights.json"])
def test_a_damaged_file_is_refused(folder, name):
    (folder / name).unlink()
    (folder / name).write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match="damaged"):
        load_vgg16_base(folder, image_size=32)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("block3_conv2/bias", None, "lacks block3_conv2/bias, which VGG16 has"),
        ("block1_conv1/bias", np.zeros(3, np.float32), r"has shape \(3,\) for block1_conv1/bias"),
    ],
)
def test_an_array_that_is_missing_or_of_another_shape_is_named(folder, name, array, words):
    path = folder / "vgg16_base.npz"
    with np.load(path) as stored:
        arrays = {**stored, name: array}
    path.unlink()
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=words):
        load_vgg16_base(folder, image_size=32)

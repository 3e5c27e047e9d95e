"""Features are computed once, in bounded memory, and leave no file behind."""

import keras
import numpy as np
import pytest

from shared import features as module
from shared.features import compute_features


@pytest.fixture(scope="module")
def frozen():
    pixels = keras.Input((8, 8, 3))
    return keras.Model(pixels, keras.layers.Conv2D(4, 3, strides=4, padding="same")(pixels))


@pytest.fixture(scope="module")
def image_sets():
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8) for count in (13, 5, 2)]


@pytest.fixture
def temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_features_are_those_of_the_model_and_in_a_file_without_a_name(frozen, image_sets, temporary_folder, batch_size):
    computed = compute_features(frozen, image_sets, batch_size=batch_size)
    assert [isinstance(features, np.memmap) for features in computed] == [True] * 3
    assert list(temporary_folder.iterdir()) == []  # so that a process that is killed leaves none
    for features, images in zip(computed, image_sets, strict=True):
        expected = frozen(images.astype(np.float32))
        assert features.dtype == np.float32 and features.shape == expected.shape
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-3)


def test_the_frozen_part_sees_every_image_once_and_never_more_than_a_batch(frozen, image_sets, monkeypatch):
    seen = []
    monkeypatch.setattr(
        type(frozen), "predict_on_batch", lambda model, batch: seen.append(batch) or np.zeros((len(batch), 2, 2, 4))
    )
    compute_features(frozen, image_sets, batch_size=4)
    assert max(map(len, seen)) == 4
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(image_sets))


def test_the_log_says_the_size_and_counts_each_set_and_every_tenth_batch(frozen, image_sets, capsys):
    compute_features(frozen, image_sets, batch_size=1)
    first, *progress = capsys.readouterr().out.splitlines()
    assert first == "Computing the features of the frozen part once: 0.0 MiB in a temporary file"
    assert progress == ["features 10/13", "features 13/13", "features 5/5", "features 2/2"]


def test_a_full_disk_is_refused_before_anything_is_computed(frozen, image_sets, temporary_folder, monkeypatch):
    usage = module.shutil.disk_usage(temporary_folder)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=100))
    monkeypatch.setattr(type(frozen), "predict_on_batch", lambda *_: pytest.fail("computed without room"))
    with pytest.raises(OSError, match=r"need 0\.0 MiB in .* Set TMPDIR .* or lower --image-size"):
        compute_features(frozen, image_sets)

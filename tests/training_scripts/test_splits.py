"""Reading a data set, and pairing it into batches."""

import json
import shutil

import numpy as np
import pytest

from splits import load_splits


@pytest.fixture
def folder(cifar_data, tmp_path):
    return shutil.copytree(cifar_data, tmp_path / "data")


def test_splits_hold_images_labels_and_their_description(folder):
    splits = load_splits(folder)
    assert splits.train.images.shape == (64, 32, 32, 3) and splits.train.images.dtype == np.uint8
    assert splits.test.labels.tolist() == list(range(10))
    assert (splits.image_size, len(splits.class_names)) == (32, 10)
    assert splits.summary() == (
        "Cifar, a generated sample (generated images): 64 train, 20 validation, 10 test, 32x32, 10 classes"
    )


@pytest.mark.parametrize("name", ["train.npz", "validation.npz", "test.npz", "dataset.json"])
def test_a_missing_file_is_named_with_the_next_step(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"No {name} in .*Run 01_prepare_data first"):
        load_splits(folder)


@pytest.mark.parametrize("name", ["train.npz", "dataset.json"])
@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_file_is_named(folder, name, keep):
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{name}.*Run 01_prepare_data again"):
        load_splits(folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"source": "Cifar"}'])
def test_an_incomplete_description_is_refused(folder, content):
    (folder / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=r"lacks class_names"):
        load_splits(folder)


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (np.zeros((2, 32, 32), np.uint8), np.zeros(2, np.int64), r"shape \(2, 32, 32\)"),
        (np.zeros((2, 31, 32, 3), np.uint8), np.zeros(2, np.int64), r"shape \(2, 31, 32, 3\)"),
        (np.zeros((2, 32, 32, 3), np.float32), np.zeros(2, np.int64), "float32 images"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(3, np.int64), r"labels of shape \(3,\)"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, np.float64), "float64 labels"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 10]), "labels from 0 to 10"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.array([-1, 1]), "labels from -1 to 1"),
        (np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64), "no images"),
    ],
)
def test_arrays_that_contradict_the_description_are_refused(folder, images, labels, problem):
    np.savez(folder / "validation.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match=rf"validation.npz holds .*{problem}.*Run 01_prepare_data again"):
        load_splits(folder)


def test_an_archive_without_labels_is_refused(folder):
    np.savez(folder / "test.npz", images=np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match=r"Cannot read images and labels from .*test.npz"):
        load_splits(folder)


def test_the_description_is_kept_whole(folder):
    assert load_splits(folder).description == json.loads((folder / "dataset.json").read_text())

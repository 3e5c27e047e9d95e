"""Reading a data set, and the users of its images."""

import json
import shutil

import numpy as np
import pytest

from shared.inputs import load_splits, load_users


@pytest.fixture
def folder(cifar_data, tmp_path):
    return shutil.copytree(cifar_data, tmp_path / "data")


def test_splits_hold_images_labels_and_their_description(folder):
    splits = load_splits(folder)
    assert splits.train.images.shape == (64, 32, 32, 3) and splits.train.images.dtype == np.uint8
    assert splits.test.labels.tolist() == list(range(10))
    assert (splits.image_size, len(splits.class_names)) == (32, 10)
    assert splits.description == json.loads((folder / "dataset.json").read_text())
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


def test_users_are_read(users_data):
    users = load_users(users_data, load_splits(users_data))
    assert users.names == ["user-000", "user-001", "user-002", "user-003"]
    assert users.train.shape == (64,) and set(users.test.tolist()) == {0, 1, 2, 3}


def test_missing_users_name_the_notebook(hands_data):
    with pytest.raises(FileNotFoundError, match=r"No users.npz in .*Run 08_one_model_per_user"):
        load_users(hands_data, load_splits(hands_data))


@pytest.mark.parametrize("wrong", [np.zeros(3, int), np.full(64, 4), np.full(64, -1)])
def test_users_that_do_not_fit_are_refused(users_data, tmp_path, wrong):
    with np.load(users_data / "users.npz") as arrays:
        np.savez(tmp_path / "users.npz", **{**arrays, "train": wrong})
    with pytest.raises(ValueError, match=r"does not fit the train images. Run 08_one_model_per_user again"):
        load_users(tmp_path, load_splits(users_data))


def test_a_damaged_file_of_users_is_named(users_data, tmp_path):
    (tmp_path / "users.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"Cannot read the users"):
        load_users(tmp_path, load_splits(users_data))

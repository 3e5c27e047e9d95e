"""Owners: read beside the images, and refused where they do not fit."""

import numpy as np
import pytest

from owners import load_owners
from splits import load_splits


def test_owners_are_read(people_data):
    owners = load_owners(people_data, load_splits(people_data))
    assert owners.names == ["user-000", "user-001", "user-002", "user-003"]
    assert owners.train.shape == (64,) and set(owners.test.tolist()) == {0, 1, 2, 3}


def test_missing_owners_name_the_notebook(hands_data):
    with pytest.raises(FileNotFoundError, match=r"No owners.npz in .*Run 07_one_model_per_user"):
        load_owners(hands_data, load_splits(hands_data))


@pytest.mark.parametrize("wrong", [np.zeros(3, int), np.full(64, 4), np.full(64, -1)])
def test_owners_that_do_not_fit_are_refused(people_data, tmp_path, wrong):
    with np.load(people_data / "owners.npz") as arrays:
        np.savez(tmp_path / "owners.npz", **{**arrays, "train": wrong})
    with pytest.raises(ValueError, match=r"does not fit the train images. Run 07_one_model_per_user again"):
        load_owners(tmp_path, load_splits(people_data))


def test_a_damaged_file_is_named(people_data, tmp_path):
    (tmp_path / "owners.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"Cannot read the owners"):
        load_owners(tmp_path, load_splits(people_data))

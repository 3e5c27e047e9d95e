import json

import pytest

from local_sagemaker.opt_ml import InputError, OptMl


class Objects:
    """Objects in a folder: the key is the path."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, key, content):
        path = self.folder / str(len(list(self.folder.iterdir())))
        path.write_bytes(content)
        self.keys = getattr(self, "keys", {}) | {key: path}

    def list(self, bucket, prefix):
        from local_sagemaker.objects import StoredObject

        for key, path in sorted(getattr(self, "keys", {}).items()):
            if key.startswith(prefix):
                yield StoredObject(key, path, path.stat().st_size, "")


@pytest.fixture
def objects(tmp_path):
    (tmp_path / "objects").mkdir()
    return Objects(tmp_path / "objects")


@pytest.fixture
def opt_ml(tmp_path):
    return OptMl(tmp_path / "algo-1" / "opt" / "ml")


def channel(name, uri):
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def configuration(opt_ml, name):
    return json.loads((opt_ml.root / "input/config" / f"{name}.json").read_text())


def test_the_configuration_files(opt_ml):
    job = {
        "ResourceConfig": {"InstanceType": "ml.c5.large", "InstanceCount": 2},
        "HyperParameters": {"epochs": "3", "path": "/opt/ml/model"},
        "InputDataConfig": [channel("training", "s3://b/p")],
    }
    opt_ml.create(job, "algo-2", ["algo-1", "algo-2"])
    resources = configuration(opt_ml, "resourceconfig")
    assert resources["current_host"] == "algo-2"
    assert resources["hosts"] == ["algo-1", "algo-2"]
    assert resources["current_instance_type"] == "ml.c5.large"
    assert configuration(opt_ml, "hyperparameters") == {"epochs": "3", "path": str(opt_ml.root / "model")}
    assert configuration(opt_ml, "inputdataconfig")["training"]["TrainingInputMode"] == "File"
    assert opt_ml.model.is_dir()
    assert opt_ml.output_data.is_dir()


@pytest.mark.parametrize(
    ("uri", "files"),
    [
        ("s3://b/data/", {"a.txt", "sub/b.txt", "train/c.txt"}),
        ("s3://b/data", {"a.txt", "sub/b.txt", "train/c.txt"}),
        ("s3://b/data/train", {"c.txt"}),
        ("s3://b/data/a.txt", {"a.txt"}),
        ("s3://b/data/a", {"a.txt"}),
    ],
)
def test_a_channel_holds_what_lies_below_its_prefix(opt_ml, objects, uri, files):
    for key in ("data/a.txt", "data/sub/b.txt", "data/train/c.txt", "other/d.txt"):
        objects.add(key, key.encode())
    opt_ml.download(channel("training", uri), objects)
    folder = opt_ml.root / "input/data/training"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == files


def test_folder_markers_of_the_console_are_passed_over(opt_ml, objects):
    for key in ("data/", "data/sub/", "data/sub/a.txt"):
        objects.add(key, b"")
    opt_ml.download(channel("training", "s3://b/data/"), objects)
    assert (opt_ml.root / "input/data/training/sub/a.txt").is_file()


def test_a_channel_without_data_names_its_address(opt_ml, objects):
    with pytest.raises(InputError, match=r"no S3 objects found under S3 URL 's3://b/none/'.*channel 'training'"):
        opt_ml.download(channel("training", "s3://b/none/"), objects)


def test_a_key_that_climbs_out_of_the_channel_is_refused(opt_ml, objects, tmp_path):
    objects.add("data/../../../../evil", b"x")
    with pytest.raises(InputError, match="leaves the channel's folder"):
        opt_ml.download(channel("training", "s3://b/data/"), objects)
    assert not list(tmp_path.rglob("evil"))


def test_only_source_files_are_rewritten_to_the_private_place(opt_ml, objects):
    objects.add("run.sh", b"cat /opt/ml/input/x")
    objects.add("image.jpg", b"\xff\xd8 /opt/ml")
    opt_ml.download(channel("code", "s3://b/"), objects)
    opt_ml.download(channel("training", "s3://b/"), objects)
    folder = opt_ml.root / "input/data"
    assert (folder / "code/run.sh").read_text() == f"cat {opt_ml.root}/input/x"
    assert (folder / "code/image.jpg").read_bytes() == b"\xff\xd8 /opt/ml"
    assert (folder / "training/run.sh").read_text() == "cat /opt/ml/input/x"


def test_the_failure_text_is_read_back_at_most_1024_characters(opt_ml):
    assert opt_ml.failure_text() == ""
    (opt_ml.root / "output").mkdir(parents=True)
    (opt_ml.root / "output/failure").write_text("x" * 2000 + "the cause\n")
    assert opt_ml.failure_text().endswith("the cause")
    assert len(opt_ml.failure_text()) <= 1024

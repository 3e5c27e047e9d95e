import pytest

from local_sagemaker.errors import ServiceError
from local_sagemaker.services.objects import StoredObject
from local_sagemaker.training import channels
from local_sagemaker.training.opt_ml import InputError, OptMl


class Objects:
    """Objects in a folder: the key is the path."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, key, content):
        path = self.folder / str(len(list(self.folder.iterdir())))
        path.write_bytes(content)
        self.keys = getattr(self, "keys", {}) | {key: path}

    def list(self, bucket, prefix):
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


def channel(name, uri, **source):
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri} | source}}


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TREE = ("data/a.txt", "data/sub/b.txt", "data/train/c.txt", "other/d.txt")
ALIKE = ("cifar/1.txt", "cifar_test/1.txt", "sets/train_a/1.txt", "sets/train_b/1.txt")


@pytest.mark.parametrize(
    ("keys", "uri", "files"),
    [
        (TREE, "s3://b/data/", {"a.txt": 0, "sub/b.txt": 1, "train/c.txt": 2}),
        (TREE, "s3://b/data", {"a.txt": 0, "sub/b.txt": 1, "train/c.txt": 2}),
        (TREE, "s3://b/data/train", {"c.txt": 2}),
        (TREE, "s3://b/data/a.txt", {"a.txt": 0}),
        (TREE, "s3://b/data/a", {"a.txt": 0}),
        # Files of a prefix that begins alike keep their folders.
        (ALIKE, "s3://b/cifar", {"1.txt": 0, "cifar_test/1.txt": 1}),
        (ALIKE, "s3://b/sets/train_", {"train_a/1.txt": 2, "train_b/1.txt": 3}),
        # Slashes that follow each other are one, and the console's markers of folders are no files.
        (("data//a.txt", "data/sub//b.txt"), "s3://b/data/", {"a.txt": 0, "sub/b.txt": 1}),
        (("data/", "data/sub/", "data/sub/a.txt"), "s3://b/data/", {"sub/a.txt": 2}),
    ],
)
def test_a_channel_holds_what_lies_below_its_prefix(opt_ml, objects, keys, uri, files):
    for key in keys:
        objects.add(key, key.encode())
    channels.download(channel("training", uri), opt_ml, objects)
    found = files_below(opt_ml.root / "input/data/training")
    assert found == {name: keys[number].encode() for name, number in files.items()}


@pytest.mark.parametrize(
    ("keys", "uri", "words"),
    [
        (
            ("cifar/cifar_test/1.txt", "cifar_test/1.txt"),
            "s3://b/cifar",
            "The key 'cifar_test/1.txt' would overwrite another object's file",
        ),
        (("data/sub//b.txt", "data/sub/b.txt"), "s3://b/data", "would overwrite another object's file 'sub/b.txt'"),
        (("data/a", "data/a/b"), "s3://b/data/", "The key 'data/a/b' cannot become a file"),
        ((), "s3://b/none/", r"no S3 objects found under S3 URL 's3://b/none/'.*channel 'training'"),
        (("data/../../../../evil",), "s3://b/data/", "leaves the folder training"),
    ],
)
def test_objects_that_cannot_become_files_are_refused_by_name(opt_ml, objects, tmp_path, keys, uri, words):
    for key in keys:
        objects.add(key, b"x")
    with pytest.raises(InputError, match=words):
        channels.download(channel("training", uri), opt_ml, objects)
    assert not list(tmp_path.rglob("evil"))


def test_checkpoints_of_a_run_whose_name_begins_alike_are_not_restored(tmp_path, objects):
    for key in ("checkpoints/run1/epoch", "checkpoints/run10/epoch"):
        objects.add(key, key.encode())
    channels.restore("s3://b/checkpoints/run1", tmp_path / "restored", objects)
    assert list(files_below(tmp_path / "restored").values()) == [b"checkpoints/run1/epoch"]


def test_only_source_files_are_rewritten_to_the_private_place(opt_ml, objects):
    objects.add("run.sh", b"cat /opt/ml/input/x")
    objects.add("image.jpg", b"\xff\xd8 /opt/ml")
    channels.download(channel("code", "s3://b/"), opt_ml, objects)
    channels.download(channel("training", "s3://b/"), opt_ml, objects)
    folder = opt_ml.root / "input/data"
    assert (folder / "code/run.sh").read_text() == f"cat {opt_ml.root}/input/x"
    assert (folder / "code/image.jpg").read_bytes() == b"\xff\xd8 /opt/ml"
    assert (folder / "training/run.sh").read_text() == "cat /opt/ml/input/x"


@pytest.mark.parametrize(("count", "shares"), [(2, ["024", "13"]), (3, ["03", "14", "2"])])
def test_sharded_by_key_each_instance_gets_its_share(tmp_path, objects, count, shares):
    for key in "01234":
        objects.add(f"data/{key}", b"x")
    sharded = channel("training", "s3://b/data/", S3DataDistributionType="ShardedByS3Key")
    got = []
    for index in range(count):
        instance = OptMl(tmp_path / f"algo-{index + 1}")
        channels.download(sharded, instance, objects, index=index, count=count)
        got.append("".join(sorted(path.name for path in (instance.root / "input/data/training").iterdir())))
    assert got == shares


@pytest.mark.parametrize(
    ("changes", "source", "named"),
    [
        ({"InputMode": "Pipe"}, {}, "Pipe"),
        ({"CompressionType": "Gzip"}, {}, "Gzip"),
        ({"RecordWrapperType": "RecordIO"}, {}, "RecordIO"),
        ({}, {"S3DataType": "AugmentedManifestFile"}, "AugmentedManifestFile"),
        ({}, {"S3DataType": "ManifestFile"}, "ManifestFile"),
        ({}, {"S3Uri": "http://b/x"}, "must start with s3://"),
        ({"DataSource": {"FileSystemDataSource": {}}}, {}, "FileSystemDataSource"),
    ],
)
def test_what_a_channel_cannot_have_here_is_named(changes, source, named):
    with pytest.raises(ServiceError, match=named):
        channels.check(channel("training", "s3://b/x", **source) | changes, "File")


def test_the_modes_that_give_files_are_accepted():
    channels.check(channel("training", "s3://b/x"), "FastFile")
    channels.check(channel("training", "s3://b/x") | {"InputMode": "File"}, "Pipe")

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
    channels.download(channel("training", uri), opt_ml, objects)
    folder = opt_ml.root / "input/data/training"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("uri", "files"),
    [
        ("s3://b/cifar", {"1.txt": b"cifar/1.txt", "cifar_test/1.txt": b"cifar_test/1.txt"}),
        ("s3://b/sets/train_", {f"train_{kind}/1.txt": f"sets/train_{kind}/1.txt".encode() for kind in ("a", "b")}),
    ],
)
def test_files_of_a_prefix_that_begins_alike_keep_their_folders(opt_ml, objects, uri, files):
    for key in ("cifar/1.txt", "cifar_test/1.txt", "sets/train_a/1.txt", "sets/train_b/1.txt"):
        objects.add(key, key.encode())
    channels.download(channel("training", uri), opt_ml, objects)
    folder = opt_ml.root / "input/data/training"
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == files


def test_two_keys_that_would_be_one_file_are_refused(opt_ml, objects):
    for key in ("cifar/cifar_test/1.txt", "cifar_test/1.txt"):
        objects.add(key, b"")
    with pytest.raises(InputError, match=r"The key 'cifar_test/1.txt' would overwrite"):
        channels.download(channel("training", "s3://b/cifar"), opt_ml, objects)


def test_slashes_that_follow_each_other_are_one(opt_ml, objects):
    for key in ("data//a.txt", "data/sub//b.txt"):
        objects.add(key, key.encode())
    channels.download(channel("training", "s3://b/data/"), opt_ml, objects)
    folder = opt_ml.root / "input/data/training"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a.txt", "sub/b.txt"}
    objects.add("data/sub/b.txt", b"another")
    with pytest.raises(InputError, match=r"would overwrite another object's file 'sub/b.txt'"):
        channels.restore("s3://b/data", opt_ml.root / "restored", objects)


def test_checkpoints_of_a_run_whose_name_begins_alike_are_not_restored(tmp_path, objects):
    for key in ("checkpoints/run1/epoch", "checkpoints/run10/epoch"):
        objects.add(key, key.encode())
    folder = tmp_path / "restored"
    channels.restore("s3://b/checkpoints/run1", folder, objects)
    assert [path.read_bytes() for path in folder.rglob("*") if path.is_file()] == [b"checkpoints/run1/epoch"]


def test_folder_markers_of_the_console_are_passed_over(opt_ml, objects):
    for key in ("data/", "data/sub/", "data/sub/a.txt"):
        objects.add(key, b"")
    channels.download(channel("training", "s3://b/data/"), opt_ml, objects)
    assert (opt_ml.root / "input/data/training/sub/a.txt").is_file()


def test_a_channel_without_data_names_its_address(opt_ml, objects):
    with pytest.raises(InputError, match=r"no S3 objects found under S3 URL 's3://b/none/'.*channel 'training'"):
        channels.download(channel("training", "s3://b/none/"), opt_ml, objects)


def test_a_key_that_climbs_out_of_the_channel_is_refused(opt_ml, objects, tmp_path):
    objects.add("data/../../../../evil", b"x")
    with pytest.raises(InputError, match="leaves the folder training"):
        channels.download(channel("training", "s3://b/data/"), opt_ml, objects)
    assert not list(tmp_path.rglob("evil"))


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


def test_a_key_that_is_a_file_and_a_folder_at_once_is_named(opt_ml, objects):
    for key in ("data/a", "data/a/b"):
        objects.add(key, b"x")
    with pytest.raises(InputError, match="The key 'data/a/b' cannot become a file"):
        channels.download(channel("training", "s3://b/data/"), opt_ml, objects)


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

import json
from dataclasses import dataclass

import pytest

from local_sagemaker.hosting import inventory
from local_sagemaker.hosting.inventory import Inventory
from local_sagemaker.hosting.model_states import Model, ModelSource, State
from local_sagemaker.services.objects import StoredObject


@dataclass
class Bucket:
    """Objects by key, in the place of S3."""

    etags: dict[str, str]
    folder: object = None

    def get(self, bucket, key):
        return StoredObject(key, self.folder, 1, self.etags[key]) if key in self.etags else None


@pytest.fixture
def disk(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def entered(disk):
    """A function that puts a model of 100 bytes on the disk and enters it."""

    def enter(key):
        source = ModelSource("bucket", key, f"target {key}")
        item = Model(source, disk / source.model_name, size=140, unpacked=100, etag=f"etag of {key}")
        (item.folder / "1").mkdir(parents=True)
        (item.folder / "1" / "saved_model.pb").write_bytes(bytes(100))
        (item.folder / "1.weights").write_bytes(bytes(40))
        Inventory(disk).add(item)
        return item

    return enter


def test_what_was_entered_is_there_after_a_restart(disk, entered):
    models = [entered(key) for key in "abc"]
    found = Inventory(disk).restore(Bucket({key: f"etag of {key}" for key in "abc"}))
    assert [item.source for item in found] == [item.source for item in models]
    assert all((item.size, item.unpacked, item.state) == (140, 100, State.ON_DISK) for item in found)
    assert all((item.folder / "1.weights").is_file() for item in found)


def test_a_model_that_was_crossed_out_is_deleted(disk, entered):
    first, second = entered("a"), entered("b")
    Inventory(disk).remove(first)
    assert [item.source for item in Inventory(disk).restore(Bucket({"a": "etag of a", "b": "etag of b"}))] == [
        second.source
    ]
    assert list(disk.iterdir()) == [second.folder]


def _lose_a_file(item, path):
    (item.folder / "1" / "saved_model.pb").unlink()


def _lose_the_folder(item, path):
    item.folder.rename(item.folder.with_name(".partial"))


def _change(**changes):
    return lambda item, path: path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DOUBTS = {
    "a file is missing": _lose_a_file,
    "the folder is missing": _lose_the_folder,
    "S3 has another object": _change(etag="older"),
    "S3 has no such object": _change(source={"bucket": "bucket", "key": "gone", "target_model": ""}),
    "the machine was started anew": _change(boot="earlier"),
    "the entry is cut off": lambda item, path: path.write_text(path.read_text()[:40]),
    "the entry is of another form": lambda item, path: path.write_text("[1]"),
    "the entry has another name": lambda item, path: path.rename(path.with_name("x.json")),
    "the entry is a link": lambda item, path: path.symlink_to(path.rename(path.with_name("x.json"))),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_model_in_doubt_is_deleted_with_its_entry(disk, entered, doubt):
    good, bad = entered("good"), entered("bad")
    path = disk.with_name("models-inventory") / f"{bad.source.model_name}.json"
    assert path.is_file()
    DOUBTS[doubt](bad, path)
    found = Inventory(disk).restore(Bucket({"good": "etag of good", "bad": "etag of bad"}))
    assert [item.source for item in found] == [good.source]
    assert list(disk.iterdir()) == [good.folder]
    assert len(list(path.parent.iterdir())) == 1


def test_what_was_never_entered_is_deleted_and_links_are_not_followed(disk, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (disk / ".0123.partial" / "1").mkdir(parents=True)
    (disk / "file").touch()
    (disk / "link").symlink_to(tmp_path / "elsewhere")
    assert Inventory(disk).restore(Bucket({})) == []
    assert list(disk.iterdir()) == []
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_disk_that_was_never_used_is_empty(disk):
    assert Inventory(disk).restore(Bucket({})) == []


def test_without_a_boot_id_the_start_of_the_machine_is_told_by_its_time(disk, entered, monkeypatch, tmp_path):
    monkeypatch.setattr(inventory, "_BOOT_ID", tmp_path / "none")
    entered("a")
    assert len(Inventory(disk).restore(Bucket({"a": "etag of a"}))) == 1

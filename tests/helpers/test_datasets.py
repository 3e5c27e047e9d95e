import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import datasets
from helpers.sources import downloads, pools, provenance


def write_classes(folder: Path, class_names, *, each: int, size: int = 32) -> Path:
    """Write images whose colour tells their class; files are numbered as if taken class after class."""
    for label, name in enumerate(class_names):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            color = (label * 20, number % 256, 90)
            Image.new("RGB", (size, size), color).save(folder / name / f"IMG_{number * 10 + label}.png")
    return folder


@pytest.fixture(scope="module")
def sample() -> datasets.Dataset:
    return datasets.load_cifar("sample", seed=3, limit=50)


def test_the_sample_says_that_it_is_one(sample):
    assert not sample.is_real
    assert "Generated sample" in sample.source
    assert "not CIFAR-10" in sample.description
    assert (sample.name, sample.split, sample.class_names) == ("cifar", "random", pools.CIFAR_CLASSES)


def test_shapes_and_types(sample):
    assert sample.counts == {"train": 50, "validation": 10, "test": 10}
    assert sample.train.images.shape == (50, 32, 32, 3)
    assert sample.train.images.dtype == np.uint8
    assert sample.train.labels.dtype == np.int64
    assert np.bincount(sample.train.labels).tolist() == [5] * 10


def test_the_fingerprint_tells_data_sets_apart(sample):
    assert sample.fingerprint == datasets.load_cifar("sample", seed=3, limit=50).fingerprint
    assert sample.fingerprint != datasets.load_cifar("sample", seed=4, limit=50).fingerprint
    assert len(sample.fingerprint) == 64


def test_stored_and_read_again(sample, tmp_path):
    folder = datasets.save(sample, tmp_path / "new" / "cifar")
    assert {path.name for path in folder.iterdir()} == {"train.npz", "validation.npz", "test.npz", "dataset.json"}
    record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert record == sample.record
    assert set(record) == {
        "name", "title", "source", "is_real", "class_names", "image_size", "counts", "split", "seed", "fingerprint",
    }  # fmt: skip
    again = datasets.read(folder)
    assert again.record == record
    assert np.array_equal(again.validation.images, sample.validation.images)


def test_nothing_stored(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No data set in .*Run 01_prepare_data first"):
        datasets.read(tmp_path)


def test_a_damaged_file(sample, tmp_path):
    folder = datasets.save(sample, tmp_path)
    content = (folder / "test.npz").read_bytes()
    (folder / "test.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        datasets.read(folder)


def test_files_of_two_data_sets(sample, tmp_path):
    datasets.save(sample, tmp_path / "one")
    datasets.save(datasets.load_cifar("sample", seed=4, limit=50), tmp_path / "two")
    (tmp_path / "two" / "test.npz").replace(tmp_path / "one" / "test.npz")
    with pytest.raises(ValueError, match="do not belong together"):
        datasets.read(tmp_path / "one")


def test_the_hand_sample_by_student():
    dataset = datasets.load_sign_language("sample", split="by_student", limit=20)
    assert dataset.split == "by_student"
    assert dataset.train.images.shape == (20, 100, 100, 3)
    assert not dataset.is_real


@pytest.mark.parametrize("split", ["student", "original", ""])
def test_an_unknown_split(split):
    with pytest.raises(ValueError, match='must be "random" or "by_student"'):
        datasets.load_sign_language("sample", split=split)


@pytest.mark.parametrize("source", ["smaple", "Auto", ""])
def test_a_misspelt_source(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'must be "auto", "download", "sample"|one folder of images per class'):
        datasets.load_cifar(source)


def test_a_folder_is_divided(tmp_path):
    dataset = datasets.load_cifar(write_classes(tmp_path / "mine", pools.CIFAR_CLASSES, each=12))
    assert dataset.counts == {"train": 90, "validation": 10, "test": 20}
    assert dataset.is_real
    assert '"mine"' in dataset.source
    assert str(tmp_path) not in json.dumps(dataset.record)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert np.array_equal(part.images[:, 0, 0, 0] // 20, part.labels)


def test_test_images_that_are_set_apart_stay_apart(tmp_path):
    write_classes(tmp_path / "train", pools.CIFAR_CLASSES, each=20)
    write_classes(tmp_path / "test", pools.CIFAR_CLASSES, each=3, size=50)
    dataset = datasets.load_cifar(str(tmp_path))
    assert (dataset.split, dataset.counts) == ("original", {"train": 180, "validation": 20, "test": 30})
    assert set(dataset.test.images[:, 0, 0, 1]) == {0, 1, 2}
    assert datasets.load_cifar(tmp_path, limit=90).counts == {"train": 90, "validation": 10, "test": 20}


def test_a_folder_of_other_classes_becomes_a_data_set_of_its_own(tmp_path):
    folder = write_classes(tmp_path / "around" / "pets", ("dog", "cat", "owl"), each=12, size=40)
    dataset = datasets.load_folder(folder.parent, name="pets", title="Pets", size=24)
    assert (dataset.name, dataset.class_names, dataset.image_size) == ("pets", ("cat", "dog", "owl"), 24)
    assert dataset.counts == {"train": 27, "validation": 3, "test": 6}
    assert dataset.source == 'Pets, read from the folder "pets".'
    # Written in the order dog, cat, owl; labels follow the names.
    assert np.array_equal(dataset.train.images[:, 0, 0, 0] // 20, np.array([1, 0, 2])[dataset.train.labels])
    assert datasets.load_folder(folder, name="pets", title="Pets", size=24, limit=9).counts["train"] == 9


def test_a_folder_of_other_classes_may_set_its_test_images_apart(tmp_path):
    write_classes(tmp_path / "train", ("cat", "dog"), each=20)
    write_classes(tmp_path / "test", ("cat", "dog"), each=3)
    dataset = datasets.load_folder(tmp_path, name="pets", title="Pets", size=32)
    assert (dataset.split, dataset.counts) == ("original", {"train": 36, "validation": 4, "test": 6})
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "wolf")
    with pytest.raises(ValueError, match=r"Missing: dog\. Unexpected: wolf"):
        datasets.load_folder(tmp_path, name="pets", title="Pets", size=32)


def test_digits_by_student(tmp_path):
    folder = write_classes(tmp_path, "0123456789", each=60, size=100)
    dataset = datasets.load_sign_language(folder, split="by_student")
    train, validation, test = (
        set(getattr(dataset, part).images[:, 0, 0, 1]) for part in ("train", "validation", "test")
    )
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 60
    assert dataset.counts == {"train": 500, "validation": 90, "test": 10}


def test_by_student_needs_numbers_and_no_fixed_test_images(tmp_path):
    write_classes(tmp_path / "train", "0123456789", each=5)
    write_classes(tmp_path / "test", "0123456789", each=5)
    with pytest.raises(ValueError, match="sets its test images apart"):
        datasets.load_sign_language(tmp_path, split="by_student")


@pytest.mark.parametrize("load", [datasets.load_cifar, datasets.load_sign_language])
def test_without_network_auto_says_that_it_takes_the_sample(load, no_network):
    with pytest.warns(UserWarning, match="cannot be downloaded .*The generated sample takes its place") as caught:
        dataset = load("auto", limit=10)
    assert caught[0].filename == __file__
    assert not dataset.is_real
    assert "could not be downloaded" in dataset.source


@pytest.mark.parametrize(
    ("load", "parameter"),
    [(datasets.load_cifar, "CIFAR_SOURCE"), (datasets.load_sign_language, "SIGN_LANGUAGE_SOURCE")],
)
def test_without_network_download_fails_and_names_the_way_out(load, parameter, no_network):
    with pytest.raises(ConnectionError, match=rf"Name or service not known.*set {parameter} to \"sample\""):
        load("download")


def keras_with(monkeypatch, load_data) -> None:
    """Put a Keras in place that has only this loader, so that TensorFlow stays out of the test."""
    cifar10 = types.SimpleNamespace(load_data=load_data)
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    module = types.ModuleType("keras.datasets")
    module.cifar10 = cifar10
    monkeypatch.setitem(sys.modules, "keras.datasets", module)


def test_cifar_10_from_the_cache_of_keras(monkeypatch, no_network):
    def load_data():
        labels = np.arange(200, dtype=np.uint8).reshape(-1, 1) % 10
        images = np.broadcast_to(labels[:, :, None, None], (200, 32, 32, 3)).astype(np.uint8)
        return (images, labels), (images[:50], labels[:50])

    keras_with(monkeypatch, load_data)
    (Path(os.environ["KERAS_HOME"]) / "datasets" / "cifar-10-batches-py-target").mkdir(parents=True)
    dataset = datasets.load_cifar("download")
    assert dataset.is_real
    assert dataset.split == "original"
    assert dataset.counts == {"train": 180, "validation": 20, "test": 50}
    assert dataset.train.labels.dtype == np.int64
    assert np.array_equal(dataset.test.images[:, 0, 0, 0], dataset.test.labels)


def test_a_download_that_breaks_off(monkeypatch, no_network):
    def load_data():
        raise Exception("URL fetch failure")

    keras_with(monkeypatch, load_data)
    monkeypatch.setattr(downloads, "check_reachable", lambda url: None)
    with pytest.raises(ConnectionError, match="URL fetch failure"):
        datasets.load_cifar("download")


def test_the_sign_language_archive_is_fetched_unpacked_and_kept(tmp_path, monkeypatch, server):
    served, url = server
    write_classes(tmp_path / "src" / "repo-master" / "Dataset", "0123456789", each=20, size=100)
    shutil.make_archive(str(served / "repo"), "zip", tmp_path / "src")
    monkeypatch.setattr(downloads, "DATA_FOLDER", tmp_path / "data")
    monkeypatch.setattr(provenance, "SIGN_LANGUAGE_URL", f"{url}/repo.zip")
    dataset = datasets.load_sign_language("auto")
    assert dataset.is_real
    assert dataset.counts == {"train": 160, "validation": 30, "test": 10}
    assert "Apache-2.0" in dataset.source
    # The second time nothing is fetched.
    (served / "repo.zip").unlink()
    assert datasets.load_sign_language("download").fingerprint == dataset.fingerprint


def test_a_damaged_sign_language_archive_is_an_error_and_is_not_kept(tmp_path, monkeypatch, server):
    served, url = server
    (served / "login.html").write_text("<html>please sign in</html>")
    monkeypatch.setattr(downloads, "DATA_FOLDER", tmp_path / "data")
    monkeypatch.setattr(provenance, "SIGN_LANGUAGE_URL", f"{url}/login.html")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        datasets.load_sign_language("auto")
    assert not list((tmp_path / "data").rglob("*.zip"))

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.sources import folders


def write_image(path: Path, *, color: tuple[int, ...] = (200, 30, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), color).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name, color in (("cat", (250, 0, 0)), ("dog", (0, 0, 250))):
        for number in range(3):
            write_image(tmp_path / "pets" / name / f"{name}{number}.png", color=color)
    return tmp_path / "pets"


def test_labels_follow_the_given_order_and_pixels_are_rgb(pets):
    files, labels = folders.list_images(pets, ("dog", "cat"))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    pixels = folders.read_images(files, np.array([5, 0]), size=8)
    assert pixels.shape == (2, 8, 8, 3)
    assert pixels.dtype == np.uint8
    assert pixels[:, 0, 0].tolist() == [[250, 0, 0], [0, 0, 250]]


def test_the_classes_are_the_names_of_the_folders(pets):
    (pets / ".cache").mkdir()
    assert folders.class_names(pets) == ("cat", "dog")
    with pytest.raises(ValueError, match="fewer than two classes"):
        folders.class_names(pets / "cat")


def test_a_single_folder_around_the_classes_is_seen_through(pets):
    assert folders.find_root(pets.parent) == pets
    assert folders.find_root(pets) == pets


def test_hidden_files_and_clutter_are_skipped(pets):
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    (pets / ".cache").mkdir()
    assert len(folders.list_images(pets, ("cat", "dog"))[0]) == 6


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("nowhere", FileNotFoundError, r"No folder .*nowhere\. Check the path\."),
        ("loose.png", NotADirectoryError, r"loose\.png is a file\. Unpack it"),
        (".", ValueError, "one folder of images per class"),
    ],
)
def test_what_is_no_folder_of_classes_is_named(tmp_path, place, error, words):
    write_image(tmp_path / "loose.png")
    with pytest.raises(error, match=words):
        folders.find_root(tmp_path / place)


def test_wrong_class_folders(pets):
    with pytest.raises(ValueError, match=r"Missing: bird\. Unexpected: dog\. Rename"):
        folders.list_images(pets, ("bird", "cat"))


def test_an_empty_class_folder(pets):
    (pets / "bird").mkdir()
    with pytest.raises(ValueError, match=r"bird holds no images"):
        folders.list_images(pets, ("bird", "cat", "dog"))


def test_a_file_that_is_no_image_by_name(pets):
    (pets / "cat" / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt is not an image; .*take it out"):
        folders.list_images(pets, ("cat", "dog"))


def test_a_file_of_another_name_is_taken_for_what_it_holds(pets):
    write_image(pets / "cat" / "x.png").rename(pets / "cat" / "x.jfif")
    assert len(folders.list_images(pets, ("cat", "dog"))[0]) == 7
    write_image(pets / "dog" / "scan.tiff")
    with pytest.raises(ValueError, match=r"scan\.tiff is a TIFF file; models read JPEG and PNG files\. Convert it"):
        folders.list_images(pets, ("cat", "dog"))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_no_image_by_content(pets, content):
    (pets / "cat" / "broken.png").write_bytes(content)
    files, _ = folders.list_images(pets, ("cat", "dog"))
    with pytest.raises(ValueError, match=r"broken\.png is (not an image|broken).*Replace it"):
        folders.read_images(files, np.arange(7), size=8)


def test_numbers_come_from_the_file_names(tmp_path):
    files = [tmp_path / "IMG_4039.JPG", tmp_path / "2020-IMG_0007.JPG"]
    assert folders.numbers(files).tolist() == [4039, 7]


def test_a_file_name_without_a_number(pets):
    write_image(pets / "cat" / "kitty.png")
    with pytest.raises(ValueError, match=r"kitty\.png carries no number.*random"):
        folders.numbers(folders.list_images(pets, ("cat", "dog"))[0])

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.sources import folders


def write_image(path: Path, *, color: tuple[int, ...] = (200, 30, 60), size: int = 40, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), color).save(path)
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


def test_every_color_mode_becomes_rgb(tmp_path):
    for mode, color in (("L", 90), ("RGBA", (90, 90, 90, 255)), ("P", 0), ("1", 1)):
        path = write_image(tmp_path / f"{mode}.png", mode=mode, color=color)
        assert folders.read_image(path, size=4).shape == (4, 4, 3)


def test_an_image_is_turned_upright_as_its_exif_data_say(tmp_path):
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    upright = folders.read_image(tmp_path / "turned.png", size=20)
    assert upright[2].min() == 255
    assert upright[17].max() == 0


def test_a_single_folder_around_the_classes_is_seen_through(pets):
    assert folders.find_root(pets.parent) == pets
    assert folders.find_root(pets) == pets


def test_hidden_files_and_clutter_are_skipped(pets):
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    (pets / ".cache").mkdir()
    assert len(folders.list_images(pets, ("cat", "dog"))[0]) == 6


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No folder .*nowhere\. Check the path\."):
        folders.find_root(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(NotADirectoryError, match=r"images\.zip is a file\. Unpack it"):
        folders.find_root(tmp_path / "images.zip")


def test_a_folder_without_class_folders(tmp_path):
    write_image(tmp_path / "loose.png")
    with pytest.raises(ValueError, match="one folder of images per class"):
        folders.find_root(tmp_path)


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


def test_a_cut_off_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut\.jpg is broken \(image file is truncated"):
        folders.read_image(tmp_path / "cut.jpg", size=100)


def test_numbers_come_from_the_file_names(tmp_path):
    files = [tmp_path / "IMG_4039.JPG", tmp_path / "2020-IMG_0007.JPG"]
    assert folders.numbers(files).tolist() == [4039, 7]


def test_a_file_name_without_a_number(pets):
    write_image(pets / "cat" / "kitty.png")
    with pytest.raises(ValueError, match=r"kitty\.png carries no number.*random"):
        folders.numbers(folders.list_images(pets, ("cat", "dog"))[0])

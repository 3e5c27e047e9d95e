"""What a file of an image looks like in training it looks like in serving; the rows of the table in data/README.md."""

import io
import re
import shutil
import struct
import time
import uuid
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers import endpoint, s3
from helpers.sources import folders, image_files
from shared import decoding, exporting

SIZE = 16
RANDOM = np.random.default_rng(4)
PIXELS = RANDOM.integers(0, 256, (30, 50, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(PIXELS[:5, :7]).resize((50, 30), Image.Resampling.BICUBIC))
PHOTO = Image.fromarray(SMOOTH)


def file(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, color, rows, *, width=50, height=30, before=b"", after=b""):
    """Write a PNG of a kind that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    middle = before + chunk(b"IDAT", zlib.compress(rows)) + after
    return image_files.PNG + chunk(b"IHDR", header) + middle + chunk(b"IEND", b"")


def noise(bits, channels):
    row = -(-50 * bits * channels // 8)
    return b"".join(b"\0" + RANDOM.bytes(row) for _ in range(30))


def interlaced():
    """Write the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = (row for x, y, right, down in passes for row in SMOOTH[y::down, x::right])
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return (
        image_files.PNG
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 30, 8, 2, 0, 0, 1))
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def exif(orientation, *, little=True, image=PHOTO, form="JPEG"):
    data = Image.Exif()
    data.endian = "<" if little else ">"
    data[0x0110], data[0x0112] = "a camera", orientation
    return file(image, form, exif=data)


TRANSPARENT = Image.fromarray(np.dstack([SMOOTH, PIXELS[..., 0]]))
PALETTE = PHOTO.quantize(200)
OTHERS = {"GIF": "GIF", "BMP": "BMP", "WebP": "WEBP", "TIFF": "TIFF", "PPM": "PPM", "AVIF": "AVIF"}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
READ = {
    "JPEG, baseline or progressive, any subsampling of colors": [
        file(Image.fromarray(pixels), "JPEG", quality=quality, progressive=progressive, subsampling=subsampling)
        for pixels in (PIXELS, SMOOTH)
        for quality in (30, 95)
        for progressive in (False, True)
        for subsampling in ("4:4:4", "4:2:2", "4:2:0")
    ],
    "JPEG in gray, CMYK or RGB": [
        file(PHOTO.convert("L"), "JPEG"),
        file(PHOTO.convert("CMYK"), "JPEG"),
        file(PHOTO, "JPEG", keep_rgb=True),
    ],
    "JPEG with several pictures (MPO)": [file(PHOTO, "MPO", save_all=True, append_images=[Image.fromarray(PIXELS)])],
    "PNG of 1, 2, 4 or 8 bits, interlaced or not": [
        *(png(bits, 0, noise(bits, 1)) for bits in (1, 2, 4, 8)),
        png(8, 2, noise(8, 3)),
        interlaced(),
    ],
    "PNG of 16 bits": [png(16, color, noise(16, channels)) for color, channels in ((0, 1), (2, 3), (4, 2), (6, 4))],
    "PNG with a palette": [file(PALETTE, "PNG"), *(file(PHOTO.quantize(count), "PNG") for count in (2, 4, 13))],
    "PNG with transparency": [
        file(TRANSPARENT, "PNG"),
        file(TRANSPARENT.convert("LA"), "PNG"),
        file(PHOTO, "PNG", transparency=tuple(int(value) for value in SMOOTH[3, 4])),
        file(PALETTE, "PNG", transparency=3),
        file(PALETTE, "PNG", transparency=bytes(range(200))),
    ],
    "PNG, animated": [
        file(PHOTO, "PNG", save_all=True, append_images=[Image.fromarray(PIXELS)], default_image=still)
        for still in (False, True)
    ],
    "EXIF orientation 1 to 8 of a JPEG or PNG, either byte order": [
        exif(orientation, little=little, form=form)
        for form in ("JPEG", "PNG")
        for orientation in range(1, 9)
        for little in (False, True)
    ],
    "EXIF data that are malformed or behind the pixels, XMP": [
        exif(9),
        exif(0),
        exif(6).replace(b"II*\0\x08", b"II*\0\xff"),
        exif(6).replace(b"II*\0", b"XX*\0"),
        png(8, 2, noise(8, 3), after=chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0")),
        file(PHOTO, "JPEG", xmp=XMP),
    ],
}
REFUSED = {
    "GIF, BMP, WebP, TIFF, PPM, HEIC, AVIF": [
        *((file(PHOTO, form), f"is a {name} file; models read JPEG and PNG files") for name, form in OTHERS.items()),
        (b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC file; models read JPEG and PNG files"),
    ],
    "no image, or cut off": [
        (b"", "is not an image; models read JPEG and PNG files"),
        (b"no image", "is not an image; models read JPEG and PNG files"),
        (file(PHOTO, "JPEG")[:500], "broken"),
        (file(PHOTO, "PNG")[:500], "broken"),
        (image_files.PNG, "broken"),
        (image_files.JPEG, "broken"),
    ],
    "more than 25,000,000 pixels": [
        (png(1, 0, bytes(626 * 5000), width=5000, height=5001), "has 5000x5001 pixels; 25,000,000 is the limit"),
        (png(1, 0, b"", width=2**32 - 1, height=2**32 - 1), "pixels"),
        (file(Image.new("L", (5001, 5000)), "JPEG"), "has 5001x5000 pixels; 25,000,000 is the limit"),
    ],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that answers with the pixels that it is given."""
    return export(tmp_path_factory.mktemp("model"))


def export(folder):
    pixels = keras.Input((SIZE, SIZE, 3))
    names = [str(number) for number in range(SIZE * SIZE * 3)]
    same = keras.Model(pixels, keras.layers.Flatten()(pixels))
    return exporting.export_classifier(same, folder, class_names=names, provenance={})


@pytest.fixture(scope="module")
def served(model):
    signature = tf.saved_model.load(model).signatures["serving_bytes"]

    def serve(*files):
        return signature(image_bytes=tf.constant(files))["probabilities"].numpy().reshape(-1, SIZE, SIZE, 3)

    return serve


@pytest.mark.parametrize("row", READ)
def test_a_file_gives_the_same_pixels_on_both_sides(served, tmp_path, row):
    for number, content in enumerate(READ[row]):
        path = tmp_path / "image.jpg"  # whatever it is
        path.write_bytes(content)
        trained, answered = folders.read_image(path, size=SIZE), served(content)[0]
        assert np.ptp(trained.astype(int)) > 20, number  # not all black or all white
        assert np.abs(trained - answered).max() <= 1, number


@pytest.mark.parametrize("row", [row for row in READ if "orientation" not in row])
def test_without_scaling_the_pixels_are_equal(row):
    for content in READ[row]:
        decoded = decoding.decode(tf.constant(content), 0, height=30, width=50)
        assert np.array_equal(decoded, np.asarray(image_files.read(content)))


def test_each_orientation_is_undone(served):
    """The orientations of a corner, as Exif 2.32 defines them: where the picture's first row and column lie."""
    bright = np.zeros((SIZE, SIZE, 3), np.uint8)
    bright[:3, :9] = 255  # along the top, from the left: no two turns of it look alike
    stored = {
        1: bright,
        2: bright[:, ::-1],
        3: bright[::-1, ::-1],
        4: bright[::-1],
        5: bright.swapaxes(0, 1),
        6: bright.swapaxes(0, 1)[::-1],
        7: bright.swapaxes(0, 1)[::-1, ::-1],
        8: bright.swapaxes(0, 1)[:, ::-1],
    }
    for orientation, pixels in stored.items():
        for little in (True, False):
            content = exif(orientation, little=little, image=Image.fromarray(pixels), form="PNG")
            assert np.array_equal(served(content)[0], bright), orientation
            assert np.array_equal(image_files.read(content), bright), orientation


@pytest.mark.parametrize("row", REFUSED)
def test_a_file_is_refused_on_both_sides_for_the_same_reason(served, tmp_path, row):
    good = file(PHOTO, "JPEG")
    for content, words in REFUSED[row]:
        path = tmp_path / "image.jpg"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(words)):
            folders.read_image(path, size=SIZE)
        with pytest.raises(tf.errors.InvalidArgumentError) as failure:
            served(good, content)
        if words != "broken":  # TensorFlow's decoders have words of their own
            assert re.search(rf"image 1 \(counted from 0\) .*{re.escape(words)}", failure.value.message)


def test_the_page_about_data_has_exactly_these_rows(project):
    page = (project / "data" / "README.md").read_text(encoding="utf-8")
    table = page.partition("| file | in training and in serving |\n|---|---|\n")[2].partition("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()] == [*READ, *REFUSED]


def test_both_sides_have_one_limit_and_know_the_same_formats():
    assert image_files.MAX_PIXELS == decoding.MAX_PIXELS
    assert image_files.OTHER_FORMATS == decoding.OTHER_FORMATS


@pytest.mark.slow
def test_both_sides_read_malformed_exif_data_alike():
    """Files that are wrong in a few bytes anywhere in front of the pixels."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def in_graph(content):
        return decoding.read_orientation(decoding.read_head(content))

    found = set()
    for number in range(2000):
        orientation, little = number % 8 + 1, bool(number & 8)
        content = bytearray(exif(orientation, little=little, form="PNG" if number & 16 else "JPEG"))
        for _ in range(RANDOM.integers(0, 4)):
            content[RANDOM.integers(8, 110)] = RANDOM.choice([0, 1, 2, 3, 6, 255, RANDOM.integers(256)])
        content = bytes(content)[: RANDOM.integers(9, 130) if number % 5 == 0 else None]
        expected = image_files.read_orientation(content)
        found.add(expected)
        assert in_graph(content) == expected, content[:130].hex()
    assert found == set(range(1, 9))


@pytest.fixture
def deployed(connection, model, tmp_path):
    """An endpoint with two exports of the network: "first.tar.gz" and "second.tar.gz"."""
    models_uri = f"{connection.base_uri}decoding/"
    for name, folder in (("first", model), ("second", export(tmp_path / "second"))):
        archive = shutil.make_archive(str(tmp_path / name), "gztar", folder.parent)
        s3.upload(connection, Path(archive), f"{models_uri}{name}.tar.gz")
    name = f"decoding-{uuid.uuid4().hex[:8]}"
    found = endpoint.deploy(connection, name, models_uri=models_uri, instance_type="ml.c5.xlarge")
    yield found
    found.delete()


@pytest.mark.slow
def test_models_share_a_graph_in_the_emulator(connection, deployed):
    content = exif(6)
    trained = np.asarray(image_files.read(content, size=(SIZE, SIZE)))
    group = f"/aws/sagemaker/Endpoints/{deployed.name}"

    def ask(target_model):
        answer = deployed.predict([content], target_model=target_model).probabilities
        assert np.abs(answer.reshape(SIZE, SIZE, 3) - trained).max() <= 1

    def logged(words):
        events = connection.boto.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events if re.search(words, event["message"])]

    ask("first.tar.gz")
    deadline = time.monotonic() + 120
    while not logged("stays with .*, shared graph$"):  # built after the first call
        assert time.monotonic() < deadline, logged("")
        time.sleep(0.1)
    ask("second.tar.gz")
    assert len(logged("loaded .*, shared graph$")) == 1
    ask("first.tar.gz")

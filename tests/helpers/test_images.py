import io
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers import images


def test_png_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(images.encode(pixels)))), pixels)


def test_jpeg_is_close():
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    pixels = np.stack([np.tile(ramp, (32, 1))] * 3, axis=-1)
    encoded = images.encode(pixels, "JPEG")
    assert encoded.startswith(b"\xff\xd8")
    difference = np.asarray(Image.open(io.BytesIO(encoded))).astype(int) - pixels
    assert np.abs(difference).max() <= 8


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_image_is_refused(pixels):
    with pytest.raises(ValueError, match="uint8 array"):
        images.encode(pixels)


def test_malformed_exif_data_of_a_good_image_are_no_warning(recwarn):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x03\0" + bytes(7))
    file = buffer.getvalue()
    behind = 4 + int.from_bytes(file[4:6], "big")  # without the JFIF header, Pillow looks for the density there
    assert images.read(file[:2] + file[behind:]).size == (8, 8)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_damaged_chunk_is_a_broken_image():
    png = images.encode(np.zeros((4, 4, 3), np.uint8))
    chunk = b"pHYs" + bytes(3)
    damaged = png[:33] + (3).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:]
    with pytest.raises(ValueError, match=r"^is broken \(Truncated pHYs chunk"):
        images.read(damaged)

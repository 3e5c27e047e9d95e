import io

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

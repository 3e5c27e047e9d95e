import io
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers import images
from helpers.sources import image_files


def test_malformed_exif_data_of_a_good_image_are_no_warning(recwarn):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x03\0" + bytes(7))
    file = buffer.getvalue()
    behind = 4 + int.from_bytes(file[4:6], "big")  # without the JFIF header, Pillow looks for the density there
    assert image_files.read(file[:2] + file[behind:]).size == (8, 8)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_damaged_chunk_is_a_broken_image():
    png = images.encode(np.zeros((4, 4, 3), np.uint8))
    chunk = b"pHYs" + bytes(3)
    damaged = png[:33] + (3).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:]
    with pytest.raises(ValueError, match=r"^is broken \(Truncated pHYs chunk"):
        image_files.read(damaged)

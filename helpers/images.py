"""Images as files, to send to a model."""

import io
from typing import Literal

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray, file_format: Literal["JPEG", "PNG"] = "PNG") -> bytes:
    """Return an image, uint8 (height, width, 3), as a file: PNG keeps every pixel, JPEG (at quality 95) nearly.

    Raises:
        ValueError: If the array is not of that form.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"An image is a uint8 array (height, width, 3), not {pixels.dtype} {pixels.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, quality=95)
    return buffer.getvalue()

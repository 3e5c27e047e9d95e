"""Single images as files."""

import html
import io
from typing import Literal

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray, file_format: Literal["JPEG", "PNG"] = "PNG") -> bytes:
    """Return an image as the bytes of a file.

    Args:
        pixels: uint8 array (height, width, 3), RGB.
        file_format: ``"PNG"`` keeps every pixel, ``"JPEG"`` (at quality 95) nearly.

    Raises:
        ValueError: If the array is not of that form.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"An image is a uint8 array (height, width, 3), not {pixels.dtype} {pixels.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, quality=95)
    return buffer.getvalue()


def as_html(png: str, alt: str) -> str:
    """Return a PNG file in base64 as HTML, with its alternative text."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'

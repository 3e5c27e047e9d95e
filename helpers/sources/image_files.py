"""JPEG and PNG files as training sees them: decoded, turned upright and scaled.

The counterpart is `training_scripts/shared/decoding.py`, which does the same in the graph of an exported model: what
one of the two reads or refuses, the other does. The table in ``data/README.md`` says which.
"""

import io
import threading
import warnings
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

# A decoded pixel takes three bytes, whatever the file takes. Cameras of phones give 12 or 24 million pixels.
MAX_PIXELS = 25_000_000
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# By which bytes at which place a file is known, for the formats that people send by mistake.
OTHER_FORMATS = (
    ("GIF", 0, b"GIF8"),
    ("BMP", 0, b"BM"),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("PPM", 0, b"P6"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftypmif1"),
    ("AVIF", 4, b"ftypavif"),
)
_HEAD_BYTES = 1 << 18  # the orientation stands near the beginning
_MOST_SEGMENTS = 64
_QUIET = threading.Lock()
_ORIENTATION, _INTEGERS = 0x0112, {3: 2, 4: 4}  # the tag, and the bytes of the types that may hold it
# How each orientation but 1 is undone (Exif 2.32, CIPA DC-008).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_format(head: bytes) -> None:
    """Tell by its first bytes, whatever its name says, whether a file is a JPEG or a PNG.

    Raises:
        ValueError: If it is another one; a clause without a subject says which.
    """
    if not head.startswith((JPEG, PNG)):
        known = (f"a {name} file" for name, position, magic in OTHER_FORMATS if head[position:].startswith(magic))
        raise ValueError(f"is {next(known, 'not an image')}; models read JPEG and PNG files")


def read(file: bytes, *, size: tuple[int, int] | None = None, within: int | None = None) -> Image.Image:
    """Decode a JPEG or PNG file and turn it upright as its EXIF data say.

    Args:
        file: Its bytes.
        size: Width and height of the result in pixels, to which it is scaled; by default its own.
        within: Number of pixels that neither side of the result exceeds.

    Returns:
        An RGB image. Transparency is dropped, and 16 bits a channel become 8.

    Raises:
        ValueError: If it is another file, broken, or has more than `MAX_PIXELS`; a clause without a subject says so.
    """
    check_format(file)
    try:
        with _open(file) as opened:
            too_large = opened.width * opened.height > MAX_PIXELS
            image = opened if too_large else _decode(opened)
    except Image.DecompressionBombError as error:
        raise ValueError(f"has too many pixels; {MAX_PIXELS:,} is the limit") from error
    except UnidentifiedImageError as error:  # its text is about a buffer in memory
        raise ValueError("is broken") from error
    except (OSError, SyntaxError, ValueError) as error:  # whatever Pillow says of a damaged file
        raise ValueError(f"is broken ({error})") from error
    if too_large:
        raise ValueError(f"has {image.width}x{image.height} pixels; {MAX_PIXELS:,} is the limit")
    orientation = read_orientation(file)
    if within:
        image.thumbnail((within, within))
    # Turned after scaling, as in the graph of a model.
    if size and (target := size[::-1] if orientation >= 5 else size) != image.size:
        image = image.resize(target, Image.Resampling.BILINEAR)
    return image.transpose(_TURNS[orientation]) if orientation > 1 else image


def _open(file: bytes) -> ImageFile:
    """Open a file without Pillow's warnings, which are of EXIF data that nobody asks it for, and of sizes."""
    with _QUIET, warnings.catch_warnings():  # filters of warnings belong to all threads
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(file), formats=("JPEG", "PNG"))


def _decode(opened: Image.Image) -> Image.Image:
    if opened.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to white
        return Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8)).convert("RGB")
    opened.load()
    opened.info.pop("transparency", None)  # or Pillow warns that it is lost
    return opened.convert("RGB")


def read_orientation(file: bytes) -> int:
    """Return the EXIF orientation of a JPEG or PNG file, 1 to 8; 1 where its EXIF data say nothing that is valid.

    Pillow's own reader takes what it can get from XMP and malformed data; this one is the graph's, step by step.
    """
    position, is_jpeg = (2, True) if file.startswith(JPEG) else (len(PNG), False)
    head = file[:_HEAD_BYTES] + bytes(16)
    for _ in range(_MOST_SEGMENTS + 1):
        if is_jpeg:
            marker, size = _number(head, position, 2), _number(head, position + 2, 2)
            if head[position + 4 : position + 10] == b"Exif\0\0":
                return _exif_orientation(head[position + 10 : position + 2 + size]) if marker == 0xFFE1 else 1
            if marker < 0xFFC0 or marker == 0xFFDA:
                return 1
            position += 1 if marker == 0xFFFF else 2 + size
        else:
            kind, size = head[position + 4 : position + 8], _number(head, position, 4)
            if kind == b"eXIf":
                return _exif_orientation(head[position + 8 : position + 8 + size])
            if kind in (b"IDAT", b"\0\0\0\0", b""):  # the pixels, or the end
                return 1
            position += 12 + size
    return 1


def _exif_orientation(data: bytes) -> int:
    """Read the first directory of EXIF data: a TIFF header, then entries of twelve bytes (tag, type, count, value)."""
    if not data.startswith((b"II*\0", b"MM\0*")):
        return 1
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    directory = _number(data, 4, 4, order)
    orientation = 1
    for entry in range(directory + 2, directory + 2 + 12 * _number(data, directory, 2, order), 12):
        if entry + 12 > len(data):
            break
        kind, count = _number(data, entry + 2, 2, order), _number(data, entry + 4, 4, order)
        if _number(data, entry, 2, order) == _ORIENTATION and kind in _INTEGERS and count == 1:
            orientation = _number(data, entry + 8, _INTEGERS[kind], order)
    return orientation if 1 <= orientation <= 8 else 1


def _number(data: bytes, position: int, size: int, order: Literal["little", "big"] = "big") -> int:
    """Read a number; what lies behind the end counts as zeros."""
    return int.from_bytes(data[position : position + size].ljust(size, b"\0"), order)

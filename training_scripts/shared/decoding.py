"""Image files in the graph of an exported model: decoded, turned upright and scaled as for training.

The counterpart is ``helpers/sources/image_files.py``, which reads files for training with Pillow: what a file looks
like there it looks like here, and what one of the two refuses the other refuses in the same words. The table in
``data/README.md`` says which. Everything here is an operation of TensorFlow, for TensorFlow Serving has no Python.
"""

import tensorflow as tf

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
_PADDING = 16  # zeros behind the last byte, so that reading there is no error
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4


def decode(encoded: tf.Tensor, index: tf.Tensor, *, height: int, width: int, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decode one JPEG or PNG, a scalar string, turn it upright as its EXIF data say, and scale it.

    A file with more than `max_pixels` is refused before it is decoded; errors name its place in the batch, `index`.
    Returns float32 (height, width, 3), whole numbers from 0 to 255.
    """
    head = read_head(encoded)
    is_jpeg, is_png = _stands_at(head, 0, JPEG), _stands_at(head, 0, PNG)
    form = tf.constant("not an image")
    for name, position, magic in OTHER_FORMATS:
        form = tf.where(_stands_at(head, position, magic), f"a {name} file", form)
    problem = tf.strings.join(
        ["image ", tf.as_string(index), " (counted from 0) is ", form, "; models read JPEG and PNG files"]
    )
    with tf.control_dependencies([_refuse_unless(is_jpeg | is_png, problem)]):
        head = tf.identity(head)

    size = tf.cond(
        is_jpeg,
        lambda: tf.cast(tf.io.extract_jpeg_shape(encoded), tf.int64)[:2],
        lambda: tf.stack([_number(head, 20, 4), _number(head, 16, 4)]),
    )
    shape = tf.as_string(size)
    limit = f" pixels; {max_pixels:,} is the limit"
    problem = tf.strings.join(["image ", tf.as_string(index), " (counted from 0) has ", shape[1], "x", shape[0], limit])
    with tf.control_dependencies([_refuse_unless(tf.reduce_prod(tf.cast(size, tf.float64)) <= max_pixels, problem)]):
        encoded = tf.identity(encoded)

    orientation = read_orientation(head)
    pixels = tf.cond(
        is_jpeg,
        # The exact transform is Pillow's; TensorFlow's default is up to 15 grey levels off.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(encoded, channels=3),
    )
    lies = orientation >= 5
    target = tf.where(lies, [width, height], [height, width])
    # Without antialiasing, a photo of thousands of pixels shrinks to noise. Turning comes after, for it moves less.
    upright = _turn(tf.image.resize(pixels, target, antialias=True), orientation)
    return tf.ensure_shape(tf.round(upright), (height, width, 3))


def read_head(encoded: tf.Tensor) -> tf.Tensor:
    """Return the first bytes of a file as uint8 numbers."""
    head = tf.io.decode_raw(tf.strings.substr(encoded, 0, _HEAD_BYTES), tf.uint8)
    return tf.pad(head, [[0, _PADDING]])


def read_orientation(head: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of a JPEG or PNG file, 1 to 8; 1 where its EXIF data say nothing that is valid."""
    return tf.cond(_stands_at(head, 0, JPEG), lambda: _jpeg_orientation(head), lambda: _png_orientation(head))


def _refuse_unless(condition: tf.Tensor, problem: tf.Tensor) -> tf.Operation:
    return tf.raw_ops.Assert(condition=condition, data=[problem])


def _slice(data: tf.Tensor, position: tf.Tensor | int, size: int) -> tf.Tensor:
    """Return some bytes; behind the end are zeros."""
    position = tf.clip_by_value(tf.cast(position, tf.int64), 0, tf.size(data, tf.int64) - _PADDING)
    return data[position : position + size]


def _number(data: tf.Tensor, position: tf.Tensor | int, size: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """Read a number of some bytes, the most significant first unless ``little``."""
    return tf.reduce_sum(tf.cast(_slice(data, position, size), tf.int64) * _powers(size, little))


def _powers(size: int, little: tf.Tensor | bool) -> tf.Tensor:
    powers = tf.constant([256**place for place in range(size)], tf.int64)
    return tf.where(little, powers, powers[::-1])


def _stands_at(head: tf.Tensor, position: tf.Tensor | int, magic: bytes) -> tf.Tensor:
    return tf.reduce_all(_slice(head, position, len(magic)) == list(magic))


def _jpeg_orientation(head: tf.Tensor) -> tf.Tensor:
    """Walk from segment to segment until the one with EXIF data, or the compressed pixels."""

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        marker = _number(head, position, 2)
        return (marker >= 0xFFC0) & (marker != 0xFFDA) & ~_stands_at(head, position + 4, b"Exif\0\0")

    def skip(position: tf.Tensor) -> tuple[tf.Tensor]:
        is_filling = _number(head, position, 2) == 0xFFFF
        return (position + tf.where(is_filling, tf.constant(1, tf.int64), 2 + _number(head, position + 2, 2)),)

    start = tf.constant(2, tf.int64)
    (position,) = tf.while_loop(goes_on, skip, (start,), parallel_iterations=1, maximum_iterations=_MOST_SEGMENTS)
    is_found = (_number(head, position, 2) == 0xFFE1) & _stands_at(head, position + 4, b"Exif\0\0")
    return tf.where(is_found, _exif_orientation(head[position + 10 : position + 2 + _number(head, position + 2, 2)]), 1)


def _png_orientation(head: tf.Tensor) -> tf.Tensor:
    """Walk from chunk to chunk until the one with EXIF data, or the compressed pixels."""

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        kind = _number(head, position + 4, 4)
        ends = [int.from_bytes(name, "big") for name in (b"eXIf", b"IDAT", b"\0\0\0\0")]
        return tf.reduce_all(kind != tf.constant(ends, tf.int64))

    def skip(position: tf.Tensor) -> tuple[tf.Tensor]:
        return (position + 12 + _number(head, position, 4),)

    start = tf.constant(len(PNG), tf.int64)
    (position,) = tf.while_loop(goes_on, skip, (start,), parallel_iterations=1, maximum_iterations=_MOST_SEGMENTS)
    is_found = _stands_at(head, position + 4, b"eXIf")
    return tf.where(is_found, _exif_orientation(head[position + 8 : position + 8 + _number(head, position, 4)]), 1)


def _exif_orientation(data: tf.Tensor) -> tf.Tensor:
    """Read the orientation, 1 to 8, from the first directory of EXIF data; 1 where it says nothing that is valid.

    Source: Exif 2.32 (CIPA DC-008), 4.6: a TIFF header, then entries of twelve bytes: tag, type, count, value.
    """
    size = tf.size(data, tf.int64)
    data = tf.pad(data, [[0, _PADDING]])
    little = _stands_at(data, 0, b"II*\0")
    is_valid = little | _stands_at(data, 0, b"MM\0*")
    directory = tf.minimum(_number(data, 4, 4, little), size)
    count = tf.minimum(_number(data, directory, 2, little), tf.maximum(size - directory - 2, 0) // 12)
    entries = tf.cast(tf.reshape(data[directory + 2 : directory + 2 + 12 * count], (-1, 12)), tf.int64)

    def column(begin: int, size: int) -> tf.Tensor:
        return tf.reduce_sum(entries[:, begin : begin + size] * _powers(size, little), axis=1)

    kind = column(2, 2)
    value = tf.where(kind == _SHORT, column(8, 2), column(8, 4))
    fits = (column(0, 2) == _ORIENTATION) & ((kind == _SHORT) | (kind == _LONG)) & (column(4, 4) == 1)
    last = tf.concat([[1], tf.boolean_mask(value, fits)], axis=0)[-1]
    return tf.cast(tf.where(is_valid & (last >= 1) & (last <= 8), last, 1), tf.int32)


def _turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undo an EXIF orientation: 5 to 8 are transposed, and each is mirrored along none, one or both of its sides."""
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    downwards = tf.reduce_any(orientation == [3, 4, 7, 8])
    sideways = tf.reduce_any(orientation == [2, 3, 6, 7])
    pixels = tf.cond(downwards, lambda: pixels[::-1], lambda: pixels)
    return tf.cond(sideways, lambda: pixels[:, ::-1], lambda: pixels)

#!/usr/bin/env bash
# TensorFlow 2.21.0 and Pillow 13.0.0 (Python 3.11) read other pixels from the same valid image files.
#
# A model is often trained on what Pillow reads and served by a graph that calls tf.io.decode_image.
# One would expect: equal pixels for lossless files, pixels within a grey level or two for a JPEG file, and otherwise an
# error.
# Seen, each without an error or a warning:
# - JPEG: tf.io.decode_image differs by several grey levels. tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE") is equal
#   bit for bit.
# - BMP with a palette: TensorFlow returns the indices into the palette as grey levels.
# - PNG of 16 bits, grey: Pillow's convert("RGB") clips at 255, so that nearly every pixel is white; TensorFlow returns
#   the upper eight bits.
#
# Needs Python with venv, pip's usual access to packages, and two minutes. Exits with 1 once one of them does otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 pillow==13.0.0

cat > finding.py <<'PYTHON'
import io
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

rows, columns = np.mgrid[0:64, 0:64]
picture = np.stack([rows * 4, columns * 4, np.abs(rows - columns) * 4], axis=-1).astype(np.uint8)
picture[16:48:2, 16:48] = 255 - picture[16:48:2, 16:48]


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def by_tensorflow(file, decode=tf.io.decode_image, **options):
    return decode(file, channels=3, **options).numpy().astype(int)


def gap(file, **options):
    return int(np.abs(by_pillow(file) - by_tensorflow(file, **options)).max())


jpeg = encoded(Image.fromarray(picture), "JPEG", quality=90)
jpeg_gap = gap(jpeg)
accurate_gap = gap(jpeg, decode=tf.io.decode_jpeg, dct_method="INTEGER_ACCURATE")
print(f"JPEG: at most {jpeg_gap} grey levels apart by decode_image, {accurate_gap} by the accurate decode_jpeg")

paletted = Image.fromarray(picture).quantize(16)
bmp = by_tensorflow(encoded(paletted, "BMP"))
indices = bool((bmp == np.asarray(paletted)[..., None]).all())
print(f"BMP with a palette: TensorFlow returns {'its indices' if indices else 'something else'}")

grey = (columns * 1024).astype(np.uint16)
png = encoded(Image.fromarray(grey), "PNG")
clipped = bool((by_pillow(png) == np.minimum(grey, 255)[..., None]).all())
upper = bool((by_tensorflow(png) == (grey >> 8)[..., None]).all())
print(f"PNG of 16 bits: Pillow {'clips' if clipped else 'does not clip'}, TensorFlow takes {'the upper bits' if upper else 'others'}")
sys.exit(not (jpeg_gap > 2 and accurate_gap == 0 and indices and clipped and upper))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python finding.py 2>/dev/null

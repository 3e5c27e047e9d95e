#!/usr/bin/env bash
# Keras 3.15.1 (TensorFlow 2.21.0, Python 3.11): image layers such as Resizing put what follows them into training mode.
#
# Input: a functional model of one image layer and BatchNormalization, called as `model(images)`.
# One would expect: inference. Keras documents that `training` is False unless `fit` or the caller says otherwise, and
# a plain call of a model with Rescaling before BatchNormalization leaves the moving statistics as they are.
# Seen: after Resizing, CenterCrop or RandomFlip, the same call changes the moving mean, and the output is normalized by
# the batch. `model(images, training=False)` and `model.predict` are inference.
#
# Needs Python with venv, pip's usual access to packages, and two minutes. Exits with 1 once Keras does otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1

cat > finding.py <<'PYTHON'
import sys

import keras
import numpy as np
from keras import layers

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)


def moves(layer, call):
    """Return whether a call changes the moving mean of the layer after an image layer."""
    images = keras.Input((8, 8, 3))
    normalization = layers.BatchNormalization()
    model = keras.Model(images, normalization(layer(images)))
    before = np.array(normalization.moving_mean)
    call(model)
    return not np.array_equal(before, np.array(normalization.moving_mean))


found = {}
for layer in (layers.Rescaling(1.0), layers.Resizing(8, 8), layers.CenterCrop(8, 8), layers.RandomFlip()):
    name = type(layer).__name__
    found[name] = moves(layer, lambda model: model(IMAGES))
    print(f"{name:12} model(images) changes the moving mean: {found[name]}")
    assert not moves(layer, lambda model: model(IMAGES, training=False))
    assert not moves(layer, lambda model: model.predict(IMAGES, verbose=0))
sys.exit(found != {"Rescaling": False, "Resizing": True, "CenterCrop": True, "RandomFlip": True})
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python finding.py

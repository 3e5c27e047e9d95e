#!/usr/bin/env bash
# TensorFlow 2.21.0 (Python 3.11): in a graph, a shape that was reversed by a slice is no shape.
#
# Input: `tf.zeros(tf.shape(images)[::-1])`, the idiom that turns (height, width) into (width, height), alone and in a
# `tf.function`; and the same with an end, `[3:0:-1]`, or with `tf.reverse`.
# One would expect: the graph computes what the same lines compute outside of it.
# Seen: outside of a graph all work. In a graph, a slice with a negative step and no end is refused, because shape
# inference takes the missing end for 9223372036854775807: "Subshape must have computed start >= end since stride is
# negative". With an end, or with `tf.reverse`, the graph is built.
#
# Needs Python with venv, pip's usual access to packages, and two minutes. Exits with 1 once TensorFlow does otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tensorflow==2.21.0

cat > finding.py <<'PYTHON'
import sys

import tensorflow as tf

IMAGES = tf.zeros((2, 8, 6, 3))


def by_slice(images):
    return tf.zeros(tf.shape(images)[::-1])


def by_slice_with_end(images):
    return tf.zeros(tf.shape(images)[3:0:-1])


def by_reverse(images):
    return tf.zeros(tf.reverse(tf.shape(images), [0]))


def try_in_graph(function):
    try:
        return tuple(tf.function(function)(IMAGES).shape)
    except ValueError as error:
        return str(error).splitlines()[-1].strip()[:100]


found = {}
for function in (by_slice, by_slice_with_end, by_reverse):
    alone, found[function.__name__] = tuple(function(IMAGES).shape), try_in_graph(function)
    print(f"{function.__name__:18} alone {alone}, in a graph: {found[function.__name__]}")
works = found["by_slice_with_end"] == (3, 6, 8) and found["by_reverse"] == (3, 6, 8, 2)
sys.exit(not (works and "Subshape must have computed start >= end" in found["by_slice"]))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python finding.py

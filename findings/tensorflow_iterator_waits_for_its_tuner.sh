#!/usr/bin/env bash
# TensorFlow 2.21.0, tf.data (Python 3.11): letting go of an iterator can take a minute.
#
# Input: iterators over a data set of eight parallel maps and a prefetch; each gave one element and then stood still for
# 15 seconds, as one does that waits for a training step.
# One would expect: an iterator that nothing refers to any more is gone at once; its threads are told to stop.
# Seen: some of 40 take up to 60 seconds. The thread that tunes the data set sleeps for twice as long each time, up to a
# minute. It is woken before the iterator counts as cancelled, sees no reason to stop and sleeps again, and the
# destructor waits for it. Keras lets go of an iterator at the end of `fit`, so a training ends that much later, without
# using a processor. With `options.autotune.enabled = False` there is no such thread, and no wait.
#
# Needs Python with venv, pip's usual access to packages, and two to five minutes. Exits with 1 once no iterator waits.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tensorflow==2.21.0

cat > finding.py <<'PYTHON'
import os
import time

import tensorflow as tf

LEFT = []


def longest_wait(*, tuned):
    """Return the seconds until the slowest of 40 iterators is gone; one that took 2 s or more is enough."""
    options = tf.data.Options()
    options.autotune.enabled = tuned
    dataset = tf.data.Dataset.range(1000)
    for _ in range(8):
        dataset = dataset.map(lambda number: number + 1, num_parallel_calls=2)
    dataset = dataset.prefetch(2).with_options(options)
    iterators = [iter(dataset) for _ in range(40)]
    for iterator in iterators:
        next(iterator)
    del iterator
    time.sleep(15)
    longest = 0.0
    while iterators and longest < 2:
        started = time.perf_counter()
        iterators.pop()  # the last reference
        longest = max(longest, time.perf_counter() - started)
    LEFT.append(iterators)  # to let go of them now could take minutes
    return longest


untuned = max(longest_wait(tuned=False) for _ in range(2))
print(f"without the tuner: at most {untuned:.3f} s", flush=True)
for attempt in range(3):
    tuned = longest_wait(tuned=True)
    print(f"with the tuner:    at most {tuned:.3f} s", flush=True)
    if tuned >= 2:
        os._exit(untuned >= 2)
os._exit(1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python finding.py

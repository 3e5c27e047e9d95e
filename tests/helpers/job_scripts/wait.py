"""A training script that takes too long, for test_training.py."""

import time

print("waiting", flush=True)
time.sleep(600)

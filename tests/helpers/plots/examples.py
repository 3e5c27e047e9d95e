"""What the tests of several figures draw."""

import numpy as np

from helpers.aws.artifacts import Mistakes

NAMES = ["airplane", "automobile", "cat"]
HISTORY = {
    "epoch": [1, 2, 3],
    "loss": [1.0, 0.5, 0.2],
    "accuracy": [0.5, 0.7, 0.9],
    "val_loss": [1.1, 0.6, 0.8],
    "val_accuracy": [0.4, 0.6, 0.7],
}
IMAGES = np.arange(5 * 8 * 8 * 3, dtype=np.uint8).reshape(5, 8, 8, 3)
MISTAKES = Mistakes(
    images=IMAGES[:2],
    indices=np.array([7, 3]),
    labels=np.array([0, 2]),
    predictions=np.array([2, 1]),
    probabilities=np.array([[0.1, 0.1, 0.8], [0.1, 0.6, 0.3]]),
    count=2,
    image_count=50,
)
CALIBRATION = {
    "expected_error": 0.0612,
    "expected_error_by_chance": 0.021,
    "bins": [
        {"low": 0.3, "high": 0.4, "count": 2, "confidence": 0.36, "accuracy": 0.5, "accuracy_interval": [0.09, 0.91]},
        {"low": 0.9, "high": 1.0, "count": 1234, "confidence": 0.97, "accuracy": 1.0, "accuracy_interval": [0.99, 1]},
    ],
}
SETTINGS = {
    "48 pixels": {"seconds": 2.0, "accuracy": 0.9, "accuracy_interval": [0.86, 0.93], "count": 300},
    "96 pixels": {"seconds": 8.0, "accuracy": 0.97, "accuracy_interval": [0.94, 0.98], "count": 300},
}

"""SavedModels behind BentoML, one service that holds them by name."""

import base64
import os
from pathlib import Path

import bentoml
import numpy as np
import tensorflow as tf


@bentoml.service(workers=1, traffic={"timeout": 300})
class SavedModels:
    """The models of the folder that the environment variable ``REPOSITORY`` names."""

    def __init__(self) -> None:
        """Begin without models."""
        self._models = {}

    @bentoml.api
    def load(self, model: str) -> bool:
        """Load a model."""
        self._models[model] = tf.saved_model.load(str(Path(os.environ["REPOSITORY"], model, "1")))
        return True

    @bentoml.api
    def unload(self, model: str) -> bool:
        """Forget a model."""
        del self._models[model]
        return True

    @bentoml.api
    def predict(self, model: str, instances: np.ndarray) -> np.ndarray:
        """Return the probabilities of images given as pixels."""
        pixels = tf.constant(instances, dtype=tf.float32)
        return self._models[model].signatures["serving_default"](instances=pixels)["probabilities"].numpy()

    @bentoml.api
    def predict_bytes(self, model: str, image_bytes: list[str]) -> np.ndarray:
        """Return the probabilities of encoded images."""
        encoded = tf.constant([base64.b64decode(text) for text in image_bytes])
        return self._models[model].signatures["serving_bytes"](image_bytes=encoded)["probabilities"].numpy()

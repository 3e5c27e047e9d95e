"""A SavedModel behind multi-model-server, as its page "Custom Service" shows; each model has a worker process."""

import base64

import tensorflow as tf


class Service:
    """The model of one worker."""

    def __init__(self):
        """Begin without a model."""
        self.model = None

    def initialize(self, context):
        """Load the model from its folder."""
        self.model = tf.saved_model.load(context.system_properties["model_dir"] + "/1")

    def predict(self, document):
        """Call the signature that fits a request."""
        if "image_bytes" in document:
            encoded = [base64.b64decode(text) for text in document["image_bytes"]]
            outputs = self.model.signatures["serving_bytes"](image_bytes=tf.constant(encoded))
        else:
            instances = tf.constant(document["instances"], dtype=tf.float32)
            outputs = self.model.signatures["serving_default"](instances=instances)
        return {"probabilities": outputs["probabilities"].numpy().tolist()}


SERVICE = Service()


def handle(data, context):
    """Answer a batch of requests; the first call has no data and initializes the model."""
    if SERVICE.model is None:
        SERVICE.initialize(context)
    return None if data is None else [SERVICE.predict(request["body"]) for request in data]

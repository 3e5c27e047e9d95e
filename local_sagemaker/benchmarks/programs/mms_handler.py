"""A SavedModel behind multi-model-server, as its page "Custom Service" shows; each model has a worker process."""

import base64

import tensorflow as tf

MODELS = []  # the one of this worker, once it is loaded


def handle(data, context):
    """Answer a batch of requests; the first call has no data and loads the model from its folder."""
    if not MODELS:
        MODELS.append(tf.saved_model.load(context.system_properties["model_dir"] + "/1"))
    return None if data is None else [predict(request["body"]) for request in data]


def predict(document):
    """Call the signature that fits a request."""
    [model] = MODELS
    if "image_bytes" in document:
        encoded = [base64.b64decode(text) for text in document["image_bytes"]]
        outputs = model.signatures["serving_bytes"](image_bytes=tf.constant(encoded))
    else:
        instances = tf.constant(document["instances"], dtype=tf.float32)
        outputs = model.signatures["serving_default"](instances=instances)
    return {"probabilities": outputs["probabilities"].numpy().tolist()}

"""The images of AWS's TensorFlow containers that train and serve."""

from helpers.session import Connection

# AWS's own tests pair this training image with this serving image; there is no serving image 2.21.
TRAINING_VERSION = "2.21"
SERVING_VERSION = "2.20"


def training_image(connection: Connection, instance_type: str) -> str:
    """Return the address of AWS's TensorFlow training image."""
    return _retrieve(connection, instance_type, version=TRAINING_VERSION, scope="training")


def serving_image(connection: Connection, instance_type: str) -> str:
    """Return the address of AWS's TensorFlow inference image."""
    return _retrieve(connection, instance_type, version=SERVING_VERSION, scope="inference")


def _retrieve(connection: Connection, instance_type: str, *, version: str, scope: str) -> str:
    from sagemaker.core import image_uris

    return image_uris.retrieve(
        framework="tensorflow",
        region=connection.region,
        version=version,
        py_version="py312",
        instance_type=instance_type,
        image_scope=scope,
    )

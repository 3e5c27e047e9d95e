"""The images of the containers that train and serve: AWS's of TensorFlow, or the account's own."""

from helpers.progress import Step
from helpers.session import Connection

# AWS's own tests pair these two; there is no inference image 2.21.
_VERSIONS = {"training": "2.21", "inference": "2.20"}


def training_image(connection: Connection, instance_type: str) -> str:
    """Return the address of the account's training image, or of AWS's TensorFlow training image."""
    return connection.account.training_image or _retrieve(connection, instance_type, scope="training")


def serving_image(connection: Connection, instance_type: str) -> str:
    """Return the address of the account's serving image, or of AWS's TensorFlow inference image."""
    return connection.account.serving_image or _retrieve(connection, instance_type, scope="inference")


def _retrieve(connection: Connection, instance_type: str, *, scope: str) -> str:
    with Step("Importing the SageMaker SDK", stays=False):
        _ = connection.sagemaker  # which imports it quietly
        from sagemaker.core import image_uris

    image: str = image_uris.retrieve(
        framework="tensorflow",
        region=connection.region,
        version=_VERSIONS[scope],
        py_version="py312",
        instance_type=instance_type,
        image_scope=scope,
    )
    return image

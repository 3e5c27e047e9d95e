"""What jobs and containers run with: the packages of this environment, whichever version of an image is named."""

import functools
import platform
from importlib.metadata import version


@functools.cache
def describe(image: str) -> str:
    """Return a line for the log that sets the software that runs beside the image that a request names."""
    packages = f"TensorFlow {version('tensorflow')}, Keras {version('keras')} and Python {platform.python_version()}"
    return f"local_sagemaker runs {packages} for {image.rpartition('/')[2]}."

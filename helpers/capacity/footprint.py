"""The footprint of a model: what its weights take in the memory of an instance."""

import io
import tarfile
from fnmatch import fnmatch


def weight_bytes(archive: bytes) -> int:
    """Return the size of a model's weights, which is about what a loaded model takes, in bytes.

    Args:
        archive: Content of the model's ``tar.gz`` archive, with a SavedModel in it.

    Raises:
        ValueError: If no weights are in it.
    """
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        sizes = [file.size for file in files if fnmatch(file.name, "*variables/variables.data-*")]
    if not sizes:
        raise ValueError("The archive holds no variables/variables.data file. Is it that of a SavedModel?")
    return sum(sizes)

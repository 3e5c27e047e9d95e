"""The card that every archive of the series carries: class names, image size, and what the model was made from.

``training_scripts/exporting.py`` writes it into the SavedModel's folder ``assets.extra``, which serving ignores.
"""

import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from typing import Any

CARD = "assets.extra/model.json"
LARGEST_CARD = 1024 * 1024  # bytes
# What reading an archive or a card of another form raises.
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, LookupError, TypeError, RecursionError)


class CardError(ValueError):
    """The archive has no card, or one that cannot be read."""


def read(archive: bytes) -> dict[str, Any]:
    """Return the card of a model.

    Args:
        archive: The content of its ``tar.gz`` archive. It is not unpacked.

    Returns:
        ``class_names``, ``image_size`` in pixels, and ``provenance``.

    Raises:
        CardError: If there is none that can be read.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            for member in files:
                if member.isfile() and member.name.endswith(CARD) and member.size <= LARGEST_CARD:
                    content = files.extractfile(member)
                    assert content is not None
                    card: dict[str, Any] = json.loads(content.read())
                    origin(card["provenance"])
                    return card
    except _DAMAGE as error:
        raise CardError(f"The model's {CARD} cannot be read: {error}") from error
    raise CardError(f"The archive has no {CARD}. Export the model with training_scripts/exporting.py.")


def origin(provenance: Mapping[str, Any]) -> str:
    """Return sentences that say which data and which initial weights a model comes from, for figures."""
    return f"{provenance['data']['source']} Weights: {provenance['weights']['description']}"

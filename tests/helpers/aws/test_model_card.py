import io
import json
import tarfile

import pytest

from helpers.aws import model_card
from helpers.aws.model_card import CardError

PROVENANCE = {"data": {"source": "Drawn."}, "weights": {"description": "from scratch"}}


def pack(files):
    """A tar.gz archive of texts by name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.mark.parametrize("name", ["1/assets.extra/model.json", "./1/assets.extra/model.json"])
def test_the_card_is_read_from_the_archive_as_it_is_packed(name):
    card = {"class_names": ["a"], "image_size": 32, "provenance": PROVENANCE}
    archive = pack({"1/saved_model.pb": "graph", name: json.dumps(card)})
    assert model_card.read(archive) == card
    assert model_card.origin(card["provenance"]) == "Drawn. Weights: from scratch"


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (pack({"1/saved_model.pb": "graph"}), "has no assets.extra/model.json. Export the model with"),
        (pack({"1/assets.extra/model.json": "{"}), "cannot be read: Expecting"),
        (pack({"1/assets.extra/model.json": '{"class_names": []}'}), "cannot be read: 'provenance'"),
        (pack({"1/assets.extra/model.json": '{"provenance": {"data": []}}'}), "cannot be read: list indices"),
        (pack({"1/assets.extra/model.json": "[" * 100_000}), "cannot be read"),
        (pack({"1/assets.extra/model.json": " " * (model_card.LARGEST_CARD + 1)}), "has no"),
        (pack({"1/saved_model.pb": "graph"})[:-20], "cannot be read"),
        (b"no archive", "cannot be read"),
    ],
    # Names that pytest makes of bytes would tell when an archive was packed.
    ids=["no card", "no JSON", "no provenance", "another form", "too deep", "too large", "cut off", "no archive"],
)
def test_an_archive_without_a_card_that_can_be_read_is_an_error_that_says_so(archive, words):
    with pytest.raises(CardError, match=words):
        model_card.read(archive)

import io
import tarfile

import pytest

from helpers.capacity import footprint


def packed(**sizes):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        for name, size in sizes.items():
            member = tarfile.TarInfo(name)
            member.size = size
            files.addfile(member, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def test_only_the_files_of_weights_count():
    names = {
        "1/saved_model.pb": 7,
        "1/variables/variables.index": 9,
        "1/variables/variables.data-00000-of-00002": 100,
        "1/variables/variables.data-00001-of-00002": 50,
    }
    assert footprint.weight_bytes(packed(**names)) == 150


def test_an_archive_without_weights_is_refused():
    with pytest.raises(ValueError, match="Is it that of a SavedModel"):
        footprint.weight_bytes(packed(**{"a.txt": 3}))

import mmap

import pytest

from local_sagemaker import memory
from local_sagemaker.settings import MEBIBYTE


@pytest.mark.alone
def test_what_a_process_allocates_and_maps_is_found_and_what_it_frees_is_returned(tmp_path):
    (tmp_path / "file").write_bytes(bytes(8 * MEBIBYTE))
    memory.return_freed()
    before = memory.usage()
    block = bytearray(b"x") * (16 * MEBIBYTE)
    with (tmp_path / "file").open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert pages.find(b"x") == -1  # which reads them all
    more = memory.usage() - before
    assert 15 * MEBIBYTE < more.anonymous < 18 * MEBIBYTE
    assert 7 * MEBIBYTE < more.mapped < 10 * MEBIBYTE
    pages.close()
    del block
    memory.return_freed()
    left = memory.usage() - before
    assert left.anonymous < 2 * MEBIBYTE
    assert left.mapped < 2 * MEBIBYTE


class Circle:
    """An object that only the search for circles can free."""

    def __init__(self):
        self.itself = self
        self.block = bytearray(b"x") * (16 * MEBIBYTE)


@pytest.mark.alone
def test_what_only_a_circle_of_references_holds_is_returned():
    memory.return_circles()
    before = memory.usage()
    Circle()
    memory.return_freed()
    assert (memory.usage() - before).anonymous > 15 * MEBIBYTE
    memory.return_circles()
    assert (memory.usage() - before).anonymous < 2 * MEBIBYTE

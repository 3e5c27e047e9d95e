import gzip
import io
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from local_sagemaker.gzip_streams import GzipStream

CONTENT = random.Random(1).randbytes(100_000) + bytes(300_000)
PACKED = gzip.compress(CONTENT)


def read_all(data, size=10_000):
    stream = GzipStream(io.BytesIO(data))
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("size", [1000, 10**6])
def test_what_was_compressed_comes_out(size):
    assert read_all(PACKED, size) == CONTENT


def test_members_follow_each_other_and_zeros_may_fill_the_end():
    many = b"".join(gzip.compress(bytes([number])) for number in range(256))
    assert read_all(many + gzip.compress(b"") + bytes(100_000)) == bytes(range(256))
    assert read_all(PACKED + bytes(70_000) + PACKED) == CONTENT + CONTENT


@pytest.mark.parametrize("end", [0, 5, 1000, len(PACKED) - 8, len(PACKED) - 1])
def test_a_file_that_is_cut_off_is_refused(end):
    with pytest.raises(EOFError):
        read_all(PACKED[:end])


@pytest.mark.parametrize("place", [0, 3, 1000, len(PACKED) - 8, len(PACKED) - 4])
def test_a_damaged_file_is_refused(place):
    damaged = bytearray(PACKED)
    damaged[place] ^= 0x80
    with pytest.raises(zlib_ng.error):
        read_all(damaged)


@pytest.mark.parametrize("rest", [b"x", bytes(70_000) + b"garbage", PACKED[:-1]])
def test_what_follows_a_member_is_a_member_or_zeros(rest):
    with pytest.raises((zlib_ng.error, EOFError)):
        read_all(PACKED + rest)


@given(st.data())
def test_it_reads_and_refuses_what_pythons_gzip_does(data):
    content = bytearray(gzip.compress(data.draw(st.binary(max_size=200)), mtime=0) * data.draw(st.integers(1, 2)))
    for place in data.draw(st.lists(st.integers(10, len(content) - 1), max_size=2)):  # flags of headers aside
        content[place] = data.draw(st.integers(0, 255))
    try:
        expected = gzip.decompress(content)
    except (EOFError, OSError, zlib.error):
        expected = None
    try:
        found = read_all(content, 7)
    except (EOFError, zlib_ng.error):
        found = None
    assert found == expected or found is None  # zlib also verifies what Python passes over

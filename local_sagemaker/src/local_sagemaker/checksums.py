"""The checksums of S3, of bytes that come in parts; used as those of ``hashlib`` are."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from awscrt import checksums


class _Crc:
    """A cyclic redundancy check; botocore's own fail where a variable turns its C library off."""

    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function, self._size, self._value = function, size, 0

    def update(self, data: bytes) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


# By the header that states them.
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "content-md5": partial(hashlib.md5, usedforsecurity=False),
    "x-amz-checksum-crc32": lambda: _Crc(checksums.crc32, 4),
    "x-amz-checksum-crc32c": lambda: _Crc(checksums.crc32c, 4),
    "x-amz-checksum-crc64nvme": lambda: _Crc(checksums.crc64nvme, 8),
    "x-amz-checksum-sha1": partial(hashlib.sha1, usedforsecurity=False),
    "x-amz-checksum-sha256": hashlib.sha256,
}

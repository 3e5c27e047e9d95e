"""The checksums of S3, of bytes that come in parts; ``update`` and ``digest`` are those of ``hashlib``."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore import httpchecksum

# By the header that states them.
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "content-md5": partial(hashlib.md5, usedforsecurity=False),
    "x-amz-checksum-crc32": httpchecksum.Crc32Checksum,
    "x-amz-checksum-crc32c": httpchecksum.CrtCrc32cChecksum,
    "x-amz-checksum-crc64nvme": httpchecksum.CrtCrc64NvmeChecksum,
    "x-amz-checksum-sha1": partial(hashlib.sha1, usedforsecurity=False),
    "x-amz-checksum-sha256": hashlib.sha256,
}

"""Addresses of objects in S3, as requests give them."""

import re
from urllib.parse import unquote

_S3_URI = re.compile(r"s3://([^/]+)/?(.*)", re.DOTALL)
# https://s3.us-east-1.amazonaws.com/bucket/key, and https://bucket.s3.us-east-1.amazonaws.com/key.
_S3_HOST = r"s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?"
_S3_URLS = (
    re.compile(rf"https://{_S3_HOST}/([^/]+)/?(.*)", re.DOTALL),
    re.compile(rf"https://([^/]+)\.{_S3_HOST}/?(.*)", re.DOTALL),
)


def parse(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key``, or an ``https`` URL of S3, into bucket and key; anything else is a ``ValueError``."""
    for expression in (_S3_URI, *_S3_URLS):
        if match := expression.fullmatch(uri):
            bucket, key = match.groups()
            return bucket, key if uri.startswith("s3:") else unquote(key)
    raise ValueError(f"{uri!r} is not an S3 URI. Write it as s3://bucket/prefix.")

"""S3 objects on disk: moto answers the requests, this module keeps what it acknowledged.

After each request that changed something, and before the answer leaves, the object's bytes and its record are written
and synced. When the server starts, moto's buckets and keys are rebuilt from the records; their bytes stay on disk and
are read on demand.
"""

import io
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from botocore.utils import parse_timestamp
from defusedxml import ElementTree
from moto.s3.models import FakeKey

from local_sagemaker import aws_services
from local_sagemaker.records import Records
from local_sagemaker.settings import ACCOUNT_ID, DEFAULT_REGION

BUCKET, OBJECT = "s3_bucket", "s3_object"
_S3_URI = re.compile(r"s3://([^/]+)/?(.*)", re.DOTALL)


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies on disk.

    Attributes:
        key: S3 key.
        path: File with the object's bytes; replaced, never changed, when the object is.
        size: Size in bytes.
        etag: Entity tag, without quotes.
    """

    key: str
    path: Path
    size: int
    etag: str


class Objects:
    """Keeps moto's S3 state on disk and lets the stand-in read and write objects directly."""

    def __init__(self, folder: Path, records: Records) -> None:
        """Rebuild moto's buckets and keys from the records; drop files that no record names."""
        self._folder = folder
        self._records = records
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def after_request(self, method: str, path: str, query: str, body: bytes) -> None:
        """Write down what a successful S3 request changed.

        Args:
            method: HTTP method.
            path: Percent-encoded path: ``/bucket`` or ``/bucket/key``.
            query: Query string.
            body: Request body; read for multi-object deletes.
        """
        if method in ("GET", "HEAD"):
            return
        bucket, _, key = unquote(path.lstrip("/")).partition("/")
        if key:
            self._keep(bucket, key)
        elif method == "POST" and "delete" in query.split("&"):
            for element in ElementTree.fromstring(body).iter():
                if element.tag.rpartition("}")[2] == "Key" and element.text:
                    self._keep(bucket, element.text)
        elif bucket:
            self._keep_bucket(bucket)

    def put(self, bucket: str, key: str, source: Path) -> None:
        """Store a file as an object, without going through HTTP."""
        with self._lock:
            aws_services.s3_backend().put_object(bucket, key, b"")
            stored = self._moto_key(bucket, key)
            with source.open("rb") as stream:
                self._write(bucket, key, stored, stream)

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, or None if there is none."""
        record = self._records.get(OBJECT, f"{bucket}/{key}")
        return self._stored(key, record) if record else None

    def list(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects of a bucket whose keys start with a prefix, by key."""
        for name, record in self._records.all(OBJECT):
            key = name.partition("/")[2]
            if name.startswith(f"{bucket}/") and key.startswith(prefix):
                yield self._stored(key, record)

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists."""
        return self._records.get(BUCKET, bucket) is not None

    def _stored(self, key: str, record: dict[str, Any]) -> StoredObject:
        return StoredObject(key, self._folder / record["file"], record["size"], record["etag"])

    def _moto_key(self, bucket: str, key: str) -> FakeKey | None:
        contents = aws_services.s3_backend().buckets.get(bucket)
        found = contents.keys.get(key) if contents else None
        return found if isinstance(found, FakeKey) else None  # else absent, or a delete marker

    def _keep_bucket(self, bucket: str) -> None:
        with self._lock:
            existing = aws_services.s3_backend().buckets.get(bucket)
            if existing is None:
                self._records.delete(BUCKET, bucket)
            else:
                document = {"region": existing.region_name, "created": existing.creation_date.isoformat()}
                self._records.put(BUCKET, bucket, document)

    def _keep(self, bucket: str, key: str) -> None:
        with self._lock:
            current = self._moto_key(bucket, key)
            name = f"{bucket}/{key}"
            if current is None:
                record = self._records.get(OBJECT, name)
                if record and self._records.delete(OBJECT, name):
                    (self._folder / record["file"]).unlink(missing_ok=True)
            elif not isinstance(current._value_buffer, _DiskBuffer):
                self._write(bucket, key, current, io.BytesIO(current.value))
            else:  # tags or metadata changed, the bytes did not
                self._records.put(OBJECT, name, _record(current, current._value_buffer.path.name))

    def _write(self, bucket: str, key: str, moto_key: FakeKey, stream: Any) -> None:
        name = f"{bucket}/{key}"
        previous = self._records.get(OBJECT, name)
        path = self._folder / uuid.uuid4().hex
        with path.open("xb") as file:
            shutil.copyfileobj(stream, file, 1024 * 1024)
            file.flush()
            os.fsync(file.fileno())
        moto_key._value_buffer.close()
        moto_key._value_buffer = _DiskBuffer(path)
        moto_key.contentsize = path.stat().st_size
        moto_key.etag  # noqa: B018 - moto computes it from the bytes, once
        if moto_key.multipart:  # moto keeps the parts of an upload in memory, beside the whole
            moto_key.multipart.dispose()
            moto_key.multipart = None
        self._records.put(OBJECT, name, _record(moto_key, path.name))
        if previous:
            (self._folder / previous["file"]).unlink(missing_ok=True)

    def _restore(self) -> None:
        backend = aws_services.s3_backend()
        for bucket, record in self._records.all(BUCKET):
            created = backend.create_bucket(bucket, record["region"])
            created.creation_date = parse_timestamp(record["created"]).replace(tzinfo=None)
        kept = set()
        for name, record in self._records.all(OBJECT):
            bucket, _, key = name.partition("/")
            kept.add(record["file"])
            moto_key = FakeKey(
                key,
                b"",
                ACCOUNT_ID,
                DEFAULT_REGION,
                etag=record["etag"],
                bucket_name=bucket,
                version_id="null",
            )
            moto_key._value_buffer = _DiskBuffer(self._folder / record["file"])
            moto_key.contentsize = record["size"]
            moto_key.last_modified = parse_timestamp(record["modified"]).replace(tzinfo=None)
            moto_key.set_metadata(record["metadata"])
            moto_key.checksum_algorithm, moto_key.checksum_value = record["checksum"]
            backend.buckets[bucket].keys[key] = moto_key
        for path in self._folder.iterdir():
            if path.name not in kept:  # half-written when the server died
                path.unlink()


def parse_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key.

    Raises:
        ValueError: If it is no S3 URI.
    """
    match = _S3_URI.fullmatch(uri)
    if match is None:
        raise ValueError(f"{uri!r} is not an S3 URI. Write it as s3://bucket/prefix.")
    return match[1], match[2]


def _record(moto_key: FakeKey, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "size": moto_key.contentsize,
        "etag": moto_key.etag.strip('"'),
        "modified": moto_key.last_modified.isoformat(),
        "metadata": dict(moto_key.metadata),
        "checksum": [moto_key.checksum_algorithm, moto_key.checksum_value],
    }


class _DiskBuffer:
    """The part of a file's interface that moto's keys use, opened only while it is read.

    One open file per object would exhaust the process's file descriptors at a few thousand models.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int = -1) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing: no file is held open."""

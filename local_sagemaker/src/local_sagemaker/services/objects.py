"""S3 objects on disk: moto answers the requests, this module keeps what it acknowledged.

After each request that changed something, and before the answer leaves, the object's bytes and its record are written
and synced. When the server starts, moto's keys and uploads are rebuilt from the records; their bytes stay on disk and
are read on demand.
"""

import contextlib
import hashlib
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from defusedxml import ElementTree
from moto.s3.models import FakeKey

from local_sagemaker.asgi import Request
from local_sagemaker.records import Records
from local_sagemaker.services import aws_services, s3_documents
from local_sagemaker.services.buckets import Buckets
from local_sagemaker.services.s3_documents import DiskBuffer, Upload, sync
from local_sagemaker.settings import MEBIBYTE

OBJECT, UPLOAD = "s3_object", "s3_upload"


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies on disk."""

    key: str  # S3 key
    path: Path  # file with the object's bytes; replaced, never changed, when the object is
    size: int  # size in bytes
    etag: str  # entity tag, without quotes


def brings_object(request: Request) -> bool:
    """Return whether the body of a request to S3 is that of an object or of a part."""
    names = parse_qs(request.query, keep_blank_values=True).keys() - {"x-id"}
    _, _, key = request.path.lstrip("/").partition("/")
    whole = names in (set(), {"uploadId", "partNumber"})
    return request.method == "PUT" and key != "" and whole and "x-amz-copy-source" not in request.headers


class Objects:
    """Keeps moto's S3 state on disk and lets the emulator read and write objects directly.

    Who lets moto change something holds ``lock`` until ``after_request`` has returned: what moto has must be what is on
    disk before the next change.
    """

    def __init__(self, folder: Path, records: Records) -> None:
        """Rebuild moto's buckets and keys from the records; drop files that no record names."""
        self._folder = folder
        self._records = records
        self._buckets = Buckets(records)
        self.lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    @contextlib.contextmanager
    def upload(self) -> Iterator[Upload]:
        """Open a file for an upload, which goes again unless the upload is given to ``after_request``."""
        with (self._folder / uuid.uuid4().hex).open("xb") as file:
            upload = Upload(file)
            try:
                yield upload
            finally:
                if not upload.is_kept:
                    upload.path.unlink(missing_ok=True)

    def after_request(self, request: Request, *, region: str, upload: Upload | None = None) -> None:
        """Write down what a successful S3 request changed; an upload is where its body is, if that was given to moto.

        Raises:
            OSError: If it cannot be written; moto then has again what is on disk.
            sqlite3.Error: Likewise.
        """
        bucket, _, key = unquote(request.path.lstrip("/")).partition("/")
        names = parse_qs(request.query, keep_blank_values=True)
        if key:
            if upload:
                upload.is_kept = True
            self._keep(bucket, key)
            if "uploads" in names or "uploadId" in names:
                self._keep_uploads(bucket, key, names.get("uploadId", []))
        elif request.method == "POST" and "delete" in names:
            for element in ElementTree.fromstring(request.body).iter():
                if element.tag.rpartition("}")[2] == "Key" and element.text:
                    self._keep(bucket, element.text)
        elif bucket:
            self._buckets.keep(bucket, request, region=region)

    def undo(self, path: str) -> None:
        """Have moto forget what a request for an object that it refused has changed nevertheless."""
        bucket, _, key = unquote(path.lstrip("/")).partition("/")
        if bucket in aws_services.s3_backend().buckets:
            self._restore_object(f"{bucket}/{key}", self._records.get(OBJECT, f"{bucket}/{key}"))

    def put(self, bucket: str, key: str, source: Path) -> None:
        """Store a file as an object, without going through HTTP."""
        with self.upload() as upload, source.open("rb") as stream, self.lock:
            shutil.copyfileobj(stream, upload.file, MEBIBYTE)
            sync(upload.file)
            upload.etag = _md5(upload.path)
            with upload.given_to_moto():
                aws_services.s3_backend().put_object(bucket, key, b"")
            upload.is_kept = True
            self._keep(bucket, key)

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, or None if there is none."""
        record = self._records.get(OBJECT, f"{bucket}/{key}")
        return self._stored(key, record) if record else None

    def list(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects of a bucket whose keys start with a prefix, by key."""
        for name, record in self._records.all(OBJECT, prefix=f"{bucket}/{prefix}"):
            stored = self._stored(name.partition("/")[2], record)
            if stored:
                yield stored

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists."""
        return self._buckets.has(bucket)

    def _stored(self, key: str, record: dict[str, Any]) -> StoredObject | None:
        latest = record["versions"][-1]
        if "delete_marker" in latest:
            return None
        return StoredObject(key, self._folder / latest["file"], latest["size"], latest["etag"])

    def _keep(self, bucket: str, key: str) -> None:
        """Make the record of an object what moto has of it."""
        with self.lock:
            name = f"{bucket}/{key}"
            previous = self._records.get(OBJECT, name)
            contents = aws_services.s3_backend().buckets.get(bucket)
            versions = list(contents.keys.getlist(key, [])) if contents else []
            try:
                for version in versions:
                    if isinstance(version, FakeKey):
                        self._bring_to_disk(version)
                document = {"versions": [s3_documents.from_version(version) for version in versions]}
                if versions:
                    self._records.put(OBJECT, name, document)
                else:
                    self._records.delete(OBJECT, name)
            except BaseException:
                on_disk = [item for item in versions if isinstance(getattr(item, "_value_buffer", None), DiskBuffer)]
                self._restore_object(name, previous)
                self._drop({item._value_buffer.path.name for item in on_disk} - s3_documents.files(previous))
                raise
            self._drop(s3_documents.files(previous) - s3_documents.files(document))

    def _keep_uploads(self, bucket: str, key: str, ended: Sequence[str]) -> None:
        """Make the records of an object's multipart uploads what moto has of them."""
        with self.lock:
            contents = aws_services.s3_backend().buckets.get(bucket)
            uploads = {item.id: item for item in list(contents.multiparts.values()) if item.key_name == key}
            for identifier in {*uploads, *ended}:
                name = f"{bucket}/{identifier}"
                previous = self._records.get(UPLOAD, name)
                upload = uploads.get(identifier)
                document: dict[str, Any] = {}
                if upload:
                    for part in upload.parts.values():
                        self._bring_to_disk(part)
                    document = s3_documents.from_upload(upload)
                    self._records.put(UPLOAD, name, document)
                elif previous:
                    self._records.delete(UPLOAD, name)
                self._drop(s3_documents.files(previous) - s3_documents.files(document))

    def _bring_to_disk(self, key: FakeKey) -> None:
        if not isinstance(key._value_buffer, DiskBuffer):
            key.etag  # noqa: B018 - moto computes it from the bytes, once
            with self.upload() as upload:
                size = upload.file.write(key.value)
                sync(upload.file)
                s3_documents.set_bytes(key, upload.path, size)
                upload.is_kept = True
            key.multipart = None  # the parts of an upload are of no use beside the whole

    def _drop(self, names: set[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _restore(self) -> None:
        kept = set()
        for name, record in self._records.all(OBJECT):
            kept |= s3_documents.files(record)
            self._restore_object(name, record)
        for name, record in self._records.all(UPLOAD):
            kept |= s3_documents.files(record)
            bucket = aws_services.s3_backend().buckets[name.partition("/")[0]]
            bucket.multiparts[record["fields"]["id"]] = s3_documents.to_upload(record, self._folder)
        self._drop({path.name for path in self._folder.iterdir()} - kept)  # half-written when the server died

    def _restore_object(self, name: str, record: dict[str, Any] | None) -> None:
        bucket, _, key = name.partition("/")
        keys = aws_services.s3_backend().buckets[bucket].keys
        if record:
            keys.setlist(key, s3_documents.to_versions(bucket, key, record["versions"], self._folder))
        elif key in keys:
            keys.pop(key)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

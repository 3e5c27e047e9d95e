"""moto's S3 keys, delete markers and uploads as JSON documents, and back.

A document holds everything a client can set on an object; the bytes lie in a file that the document names.
"""

import base64
import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Self

from moto.s3 import models as s3_models
from moto.s3.models import FakeAcl, FakeDeleteMarker, FakeGrant, FakeGrantee, FakeKey, FakeMultipart
from moto.utilities.utils import CaseInsensitiveDict

from local_sagemaker.checksums import ALGORITHMS
from local_sagemaker.services import aws_services
from local_sagemaker.settings import ACCOUNT_ID, DEFAULT_REGION, MEBIBYTE

_KEY_FIELDS = (
    *("_storage_class", "_version_id", "_is_versioned", "website_redirect_location"),
    *("checksum_algorithm", "checksum_value", "checksum_type", "checksum_parts"),
    *("encryption", "kms_key_id", "bucket_key_enabled", "lock_mode", "lock_legal_status", "lock_until"),
)
_UPLOAD_FIELDS = ("id", "storage", "tags", "sse_encryption", "kms_key_id")


class DiskBuffer:
    """The part of a file's interface that moto's keys use, opened only while it is read.

    One open file per object would exhaust the process's file descriptors at a few thousand models.
    """

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path
        self._position = 0

    def seek(self, position: int) -> None:
        """Set where the next read begins."""
        self._position = position

    def read(self, size: int = -1) -> bytes:
        """Read on from the current position."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing: no file is held open."""


@dataclass
class Upload:
    """The bytes of an object, or of a part of one, which are on disk before moto hears of them."""

    file: BinaryIO  # where they are
    etag: str = ""  # entity tag, without quotes; known when all are there
    is_kept: bool = False  # whether the file is an object's now

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(self.file.name)

    @contextlib.contextmanager
    def given_to_moto(self) -> Iterator[None]:
        """Have the key that moto makes meanwhile, of a request without a body, read these bytes."""
        token = _given.set(self)
        try:
            yield
        finally:
            _given.reset(token)


_given: ContextVar[Upload | None] = ContextVar("upload", default=None)


def _set_value(key: FakeKey, value: bytes) -> None:
    upload = _given.get()
    if upload is None:
        FakeKey.value.fset(key, value)  # type: ignore[attr-defined]  # a property
    else:
        set_bytes(key, upload.path, upload.path.stat().st_size)
        key._etag = upload.etag


class _Forgotten:
    """What goes when nobody needs it any more: moto keeps a list of all that there have been."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return object.__new__(cls)


class UploadedKey(_Forgotten, FakeKey):
    """moto's key, whole from its first moment: others read it while moto goes on with the request."""

    value = FakeKey.value.setter(_set_value)  # type: ignore[attr-defined]  # a property


class UploadedParts(_Forgotten, FakeMultipart):
    """moto's multipart upload, whose parts are put together on disk."""

    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int] | None]:
        """Write the parts to the upload that moto was given, and return no bytes, its entity tag and its checksum."""
        upload, listed, parts = _given.get(), list(body), self.parts
        assert upload, "it was given"
        # moto checks what the client lists, and computes the entity tag of the parts', here without their bytes.
        empty = {
            number: SimpleNamespace(etag=part.etag, contentsize=part.contentsize, value=b"")
            for number, part in parts.items()
        }
        try:
            self.parts = empty  # type: ignore[assignment]
            _, upload.etag, _ = super().complete(iter(listed))
        finally:
            self.parts = parts
        name, kind = (self.metadata.get(f"x-amz-checksum-{what}") for what in ("algorithm", "type"))
        defaults = s3_models.MultipartChecksumBuilder(name, kind)
        new = ALGORITHMS[f"x-amz-checksum-{defaults.checksum_algorithm.lower()}"]
        of_object, of_digests = new(), new()
        for number, _ in listed:
            of_part, buffer = new(), parts[number]._value_buffer
            buffer.seek(0)
            while data := buffer.read(MEBIBYTE):
                of_object.update(data)
                of_part.update(data)
                upload.file.write(data)
            of_digests.update(of_part.digest())
        sync(upload.file)
        is_composite = defaults.checksum_type == "COMPOSITE"
        checksum = base64.b64encode((of_digests if is_composite else of_object).digest()).decode()
        return b"", upload.etag, (defaults.checksum_type, checksum, len(listed) if is_composite else 1)


s3_models.FakeKey = UploadedKey  # type: ignore[misc]  # moto makes its keys and uploads by these names
s3_models.FakeMultipart = UploadedParts  # type: ignore[misc]


def from_version(version: FakeKey | FakeDeleteMarker) -> dict[str, Any]:
    """Return the document of one version of an object; its bytes must be in a file already."""
    modified = {"modified": version.last_modified.isoformat()}
    if isinstance(version, FakeDeleteMarker):
        return modified | {"delete_marker": version.version_id}
    tags = aws_services.s3_backend().tagger.get_tag_dict_for_resource(version.arn)
    return modified | {
        "file": _file_name(version),
        "size": version.contentsize,
        "etag": version.etag.strip('"'),
        "metadata": dict(version.metadata),
        "acl": _from_acl(version.acl),
        "tags": tags,
        "fields": {name: getattr(version, name) for name in _KEY_FIELDS},
    }


def to_versions(bucket: str, key: str, documents: list[dict[str, Any]], folder: Path) -> list[Any]:
    """Return moto's versions of an object, oldest first, as their documents describe them."""
    versions: list[Any] = []
    for document in documents:
        if "delete_marker" in document:
            marker = FakeDeleteMarker(key=next((item for item in versions if isinstance(item, FakeKey)), _key(key)))
            marker.name, marker._version_id = key, document["delete_marker"]
            marker.last_modified = datetime.fromisoformat(document["modified"])
            versions.append(marker)
        else:
            versions.append(_to_key(bucket, key, document, folder))
    return versions


def _to_key(bucket: str, name: str, document: dict[str, Any], folder: Path) -> FakeKey:
    key = _key(name, bucket_name=bucket, etag=document["etag"])
    set_bytes(key, folder / document["file"], document["size"])
    key.last_modified = datetime.fromisoformat(document["modified"])
    key.set_metadata(dict(document["metadata"]))
    key.acl = _to_acl(document["acl"])
    for field, value in document["fields"].items():
        setattr(key, field, value)
    if document["tags"]:
        tagger = aws_services.s3_backend().tagger
        tagger.delete_all_tags_for_resource(key.arn)
        tagger.tag_resource(key.arn, tagger.convert_dict_to_tags_input(document["tags"]))
    return key


def from_upload(upload: FakeMultipart) -> dict[str, Any]:
    """Return the document of a multipart upload; the bytes of its parts must be in files already."""
    return {
        "key": upload.key_name,
        "metadata": dict(upload.metadata),
        "acl": _from_acl(upload.acl),
        "fields": {name: getattr(upload, name) for name in _UPLOAD_FIELDS},
        "parts": {
            str(number): {
                "file": _file_name(part),
                "size": part.contentsize,
                "etag": part.etag.strip('"'),
                "modified": part.last_modified.isoformat(),
            }
            for number, part in upload.parts.items()
        },
    }


def to_upload(document: dict[str, Any], folder: Path) -> FakeMultipart:
    """Return moto's multipart upload as its document describes it."""
    metadata = CaseInsensitiveDict(document["metadata"])
    upload = UploadedParts(document["key"], metadata, ACCOUNT_ID, DEFAULT_REGION, acl=_to_acl(document["acl"]))
    for field, value in document["fields"].items():
        setattr(upload, field, value)
    for number, part in document["parts"].items():
        key = _key(int(number), etag=part["etag"], encryption=upload.sse_encryption, kms_key_id=upload.kms_key_id)
        set_bytes(key, folder / part["file"], part["size"])
        key.last_modified = datetime.fromisoformat(part["modified"])
        upload.parts[int(number)] = key
    upload.partlist = sorted(upload.parts)
    return upload


def set_bytes(key: FakeKey, path: Path, size: int) -> None:
    """Have moto's key read its bytes from a file."""
    key._value_buffer.close()
    key._value_buffer = DiskBuffer(path)  # type: ignore[assignment]  # it has what keys use of moto's temporary file
    key.contentsize = size


def files(document: dict[str, Any] | None) -> set[str]:
    """Return the names of the files that an object's or upload's document needs."""
    entries = [*(document or {}).get("versions", []), *(document or {}).get("parts", {}).values()]
    return {entry["file"] for entry in entries if "file" in entry}


def _key(name: Any, **fields: Any) -> FakeKey:
    return UploadedKey(name, b"", ACCOUNT_ID, DEFAULT_REGION, **fields)


def _file_name(key: FakeKey) -> str:
    assert isinstance(key._value_buffer, DiskBuffer), "its bytes must be in a file already"
    return key._value_buffer.path.name


def _from_acl(acl: FakeAcl | None) -> list[Any] | None:
    if acl is None:
        return None
    return [
        [[[item.id, item.uri, item.display_name] for item in grant.grantees], list(grant.permissions)]
        for grant in acl.grants
    ]


def _to_acl(grants: list[Any] | None) -> FakeAcl | None:
    if grants is None:
        return None
    return FakeAcl([FakeGrant([FakeGrantee(*item) for item in grantees], rights) for grantees, rights in grants])


def sync(file: BinaryIO) -> None:
    """Make sure that a new file's name is on disk as well as its bytes."""
    file.flush()
    os.fsync(file.fileno())
    descriptor = os.open(Path(file.name).parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files to and from S3, encrypted with the account's key if it has one, with progress where it takes long."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from helpers.aws.connection import Connection
from helpers.display.progress import Step


class MissingInputError(FileNotFoundError):
    """An earlier notebook has not run yet; the message names it."""


def upload(connection: Connection, path: Path, uri: str) -> str:
    """Upload a file to an S3 URI, or the files of a folder below it, and return the URI."""
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
    keys = [uri if file == path else f"{uri.rstrip('/')}/{file.relative_to(path).as_posix()}" for file in files]
    total = sum(file.stat().st_size for file in files)
    stays = "What was uploaded stays in S3, where storage costs. Run this again to complete it."
    name = uri.removeprefix(connection.base_uri)
    with Step(f"Upload of {name}", total=total, unit="B", if_stopped=stays) as step:
        for file, key in zip(files, keys, strict=True):
            options = {"ExtraArgs": connection.account.object_encryption, "Callback": step.advance}
            _object(connection, key).upload_file(str(file), **options)
    return uri


def download(connection: Connection, uri: str, path: Path) -> Path:
    """Download one object to a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = uri.removeprefix(connection.base_uri)
    with Step(f"Download of {name}", total=size(connection, uri), unit="B") as step:
        _object(connection, uri).download_file(str(path), Callback=step.advance)
    return path


def read(connection: Connection, uri: str) -> bytes:
    """Return the bytes of one object."""
    return bytes(_object(connection, uri).get()["Body"].read())


def copy(connection: Connection, source: str, target: str) -> str:
    """Copy an object inside S3 and return the target's URI."""
    bucket, key = split_uri(source)
    place = {"Bucket": bucket, "Key": key}
    _object(connection, target).copy(place, ExtraArgs=connection.account.object_encryption)
    return target


def exists(connection: Connection, uri: str) -> bool:
    """Return whether an object exists."""
    try:
        _object(connection, uri).load()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def require(connection: Connection, uri: str, *, what: str, notebook: str) -> str:
    """Return the URI of an object that an earlier notebook made; `what` it is, such as `"model"`, is for the message.

    Raises:
        MissingInputError: If it does not exist.
    """
    if not exists(connection, uri):
        raise MissingInputError(f"No {what} at {uri}. Run {notebook} first.")
    return uri


def size(connection: Connection, uri: str) -> int:
    """Return the size of one object, in bytes."""
    return int(_object(connection, uri).content_length)


def list_names(connection: Connection, uri: str) -> list[str]:
    """Return the names of the objects below an S3 URI, relative to it, sorted."""
    bucket, prefix = split_uri(uri)
    pages = connection.s3.meta.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sorted(item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", []))


def delete(connection: Connection, uri: str) -> int:
    """Delete every object below an S3 URI and return how many there were.

    Raises:
        ValueError: If the URI names a whole bucket.
    """
    bucket, prefix = split_uri(uri)
    if not prefix.strip("/"):
        raise ValueError(f"{uri} is a whole bucket. Name a prefix below it to delete.")
    found = len(list_names(connection, uri))
    connection.s3.Bucket(bucket).objects.filter(Prefix=prefix).delete()
    return found


def split_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key; raise ValueError if it is none."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri!r} is not an S3 URI. Write it as s3://bucket/key.")
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").lstrip("/")


def _object(connection: Connection, uri: str) -> Any:
    return connection.s3.Object(*split_uri(uri))

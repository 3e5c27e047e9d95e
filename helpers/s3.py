"""Files to and from S3, encrypted with the account's key if it has one, with progress where it takes long."""

from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from helpers.progress import Step
from helpers.session import Connection


class MissingInputError(FileNotFoundError):
    """An earlier notebook has not run yet; the message names it."""


def upload(connection: Connection, folder: Path, uri: str) -> str:
    """Upload the files of a folder below an S3 URI.

    Args:
        connection: The session.
        folder: Local folder.
        uri: S3 URI that becomes the folder's place.

    Returns:
        The URI.
    """
    bucket, prefix = split_uri(uri)
    client = connection.boto.client("s3")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in paths)
    with _upload(connection, uri, total) as step:
        for path in paths:
            key = prefix.rstrip("/") + "/" + path.relative_to(folder).as_posix()
            client.upload_file(
                str(path), bucket, key, ExtraArgs=connection.account.object_encryption, Callback=step.advance
            )
    return uri


def upload_file(connection: Connection, path: Path, uri: str) -> str:
    """Upload one file to an S3 URI and return the URI."""
    bucket, key = split_uri(uri)
    client = connection.boto.client("s3")
    encryption = connection.account.object_encryption
    with _upload(connection, uri, path.stat().st_size) as step:
        client.upload_file(str(path), bucket, key, ExtraArgs=encryption, Callback=step.advance)
    return uri


def download(connection: Connection, uri: str, path: Path) -> Path:
    """Download one object to a file and return its path."""
    bucket, key = split_uri(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    client = connection.boto.client("s3")
    with Step(f"Download of {_place(connection, uri)}", total=size(connection, uri), unit="B") as step:
        client.download_file(bucket, key, str(path), Callback=step.advance)
    return path


def read(connection: Connection, uri: str) -> bytes:
    """Return the bytes of one object."""
    bucket, key = split_uri(uri)
    content: bytes = connection.boto.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def copy(connection: Connection, source: str, target: str) -> str:
    """Copy an object inside S3 and return the target's URI."""
    source_bucket, source_key = split_uri(source)
    bucket, key = split_uri(target)
    place = {"Bucket": source_bucket, "Key": source_key}
    connection.boto.client("s3").copy(place, bucket, key, ExtraArgs=connection.account.object_encryption)
    return target


def exists(connection: Connection, uri: str) -> bool:
    """Return whether an object exists."""
    bucket, key = split_uri(uri)
    try:
        connection.boto.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def require(connection: Connection, uri: str, *, what: str, notebook: str) -> str:
    """Return the URI of an object that an earlier notebook made.

    Args:
        connection: The session.
        uri: S3 URI of the object.
        what: What it is, for the message, such as ``"model"``.
        notebook: The notebook that makes it.

    Raises:
        MissingInputError: If it does not exist.
    """
    if not exists(connection, uri):
        raise MissingInputError(f"No {what} at {uri}. Run {notebook} first.")
    return uri


def size(connection: Connection, uri: str) -> int:
    """Return the size of one object, in bytes."""
    bucket, key = split_uri(uri)
    return int(connection.boto.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"])


def count(connection: Connection, uri: str) -> int:
    """Return the number of objects below an S3 URI."""
    return len(list_names(connection, uri))


def list_names(connection: Connection, uri: str) -> list[str]:
    """Return the names of the objects below an S3 URI, relative to it, sorted."""
    bucket, prefix = split_uri(uri)
    pages = connection.boto.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return sorted(key.removeprefix(prefix) for key in keys)


def delete(connection: Connection, uri: str) -> int:
    """Delete every object below an S3 URI and return how many there were.

    Raises:
        ValueError: If the URI names a whole bucket.
    """
    bucket, prefix = split_uri(uri)
    if not prefix.strip("/"):
        raise ValueError(f"{uri} is a whole bucket. Name a prefix below it to delete.")
    found = count(connection, uri)
    objects = connection.boto.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix)
    objects.delete()
    return found


def _upload(connection: Connection, uri: str, size: int) -> Step:
    stays = "What was uploaded stays in S3, where storage costs. Run this again to complete it."
    return Step(f"Upload of {_place(connection, uri)}", total=size, unit="B", if_stopped=stays)


def _place(connection: Connection, uri: str) -> str:
    return uri.removeprefix(connection.base_uri)


def split_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key.

    Raises:
        ValueError: If it is none.
    """
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri!r} is not an S3 URI. Write it as s3://bucket/key.")
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").lstrip("/")

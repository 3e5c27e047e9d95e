"""Model and source archives, treated as hostile."""

import gzip
import os
import shutil
import tarfile
import uuid
import zlib
from pathlib import Path


class ArchiveError(ValueError):
    """The archive cannot be unpacked, or must not be."""


def unpack(archive: Path, folder: Path, *, max_bytes: int, max_members: int) -> int:
    """Unpack a ``tar.gz`` archive into a new folder, wholly or not at all.

    Only plain files and folders below the root are accepted: no links, devices, absolute paths or ``..``.

    Args:
        archive: The archive.
        folder: Folder to create; it appears only when everything is unpacked.
        max_bytes: Largest total size of the unpacked files, in bytes.
        max_members: Largest number of files and folders.

    Returns:
        The total size of the unpacked files, in bytes.

    Raises:
        ArchiveError: If the archive is damaged, hostile or too large.
    """
    staging = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    staging.mkdir(parents=True)
    try:
        total = _extract(archive, staging, max_bytes, max_members)
        staging.rename(folder)
    except (tarfile.TarError, EOFError, OSError, UnicodeError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk is not the archive's fault
            raise
        raise ArchiveError(f"The archive is no readable tar.gz file: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return total


def _extract(archive: Path, folder: Path, max_bytes: int, max_members: int) -> int:
    total = members = 0
    # A stream: a bomb is noticed while it unpacks, not after. Through gzip, because tarfile skips the checksum.
    with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            members += 1
            total += max(member.size, 0)
            if members > max_members:
                raise ArchiveError(f"The archive has more than {max_members:,} members.")
            if total > max_bytes:
                raise ArchiveError(f"The archive unpacks to more than {max_bytes:,} bytes.")
            if not (member.isreg() or member.isdir()):
                raise ArchiveError(f"The archive holds {member.name!r}, which is neither a file nor a folder.")
            try:
                tar.extract(member, folder, filter="data")
            except tarfile.FilterError as error:
                raise ArchiveError(f"The archive holds a path that must not be unpacked: {error}") from error
        padding = 0
        while chunk := stream.read(64 * 1024):  # to the end, where the checksum is
            padding += len(chunk)
            if padding > max_bytes:
                raise ArchiveError(f"The archive unpacks to more than {max_bytes:,} bytes.")
    if members == 0:
        raise ArchiveError("The archive is empty.")
    return total


def pack(folder: Path, archive: Path) -> None:
    """Pack the contents of a folder into a ``tar.gz`` archive whose root is that folder.

    Args:
        folder: Folder to pack.
        archive: File to write.
    """
    # Weights hardly compress: the fastest level costs little time and little size.
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False)


def tree_size(folder: Path) -> int:
    """Return the total size of the files below a folder, in bytes."""
    return sum(os.lstat(path).st_size for path in folder.rglob("*") if path.is_file())

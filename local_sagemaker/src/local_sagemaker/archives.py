"""Model and source archives, treated as hostile."""

import contextlib
import errno
import os
import shutil
import tarfile
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zlib_ng import gzip_ng, zlib_ng

from local_sagemaker.settings import (
    MAX_ARCHIVE_DEPTH,
    MAX_ARCHIVE_HEADER_BYTES,
    MAX_ARCHIVE_HEADERS_IN_A_ROW,
    MAX_NAME_BYTES,
)

_CHUNK_BYTES = 64 * 1024
_HEADER_TYPES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
# No number at all is the mark of a damaged gzip file.
_ERRORS_OF_NAMES = (
    *(None, errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR),
)
_ICON = "Icon\r"  # of a folder, on a Mac
# Raised for damaged archives; tarfile lets through what its own parsing of numbers, maps and texts meets.
_DAMAGES = (
    *(tarfile.TarError, EOFError, OSError, ValueError),
    *(ArithmeticError, LookupError, RecursionError, zlib_ng.error),
)


class ArchiveError(ValueError):
    """The archive cannot be unpacked, or must not be."""


class ArchiveSizeError(ArchiveError):
    """The archive unpacks to more bytes than allowed."""


def unpack(archive: Path, folder: Path, *, max_bytes: int, max_members: int) -> int:
    """Unpack a ``tar.gz`` archive into a new folder, wholly or not at all.

    Only plain files, folders and hard links to files of the archive are accepted, all below the root: no symbolic
    links, devices, absolute paths or ``..``. Of a file that is there twice the last counts, as for tar.

    The folder appears only when everything is unpacked. Returned is the total size of the files, in bytes, which
    ``max_bytes`` limits, as ``max_members`` limits the number of files and folders.

    Raises:
        ArchiveError: If the archive is damaged, hostile or too large.
    """
    staging = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    staging.mkdir(parents=True)
    try:
        with _readable():
            total = _extract(archive, staging, max_bytes, max_members)
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return total


def stated_bytes(archive: Path) -> int:
    """Return the size that the archive says it unpacks to, headers included, in bytes: quick, but it may be a lie."""
    with archive.open("rb") as file:
        file.seek(max(archive.stat().st_size - 4, 0))  # the last field of a gzip file
        return int.from_bytes(file.read(), "little")


def measured_bytes(archive: Path, *, max_bytes: int, max_members: int) -> int:
    """Return the size that an archive unpacks to, in bytes, writing nothing; arguments and errors are ``unpack``'s."""
    with _readable():
        return _extract(archive, None, max_bytes, max_members)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turn what the readers of damaged archives raise into ``ArchiveError``."""
    try:
        yield
    except ArchiveError:
        raise
    except _DAMAGES as error:  # type: ignore[misc]  # the types of zlib-ng take its error class for an error
        if isinstance(error, OSError) and error.errno not in _ERRORS_OF_NAMES:  # a full disk is not the archive's fault
            raise
        raise ArchiveError(f"The archive is no readable tar.gz file: {error}") from error


def _extract(archive: Path, folder: Path | None, max_bytes: int, max_members: int) -> int:
    total = members = 0
    sizes: dict[Path, int] = {}
    names = _Names()
    # A stream: a bomb is noticed while it unpacks, not after. zlib-ng takes two thirds of the time of Python's zlib.
    with gzip_ng.GzipNGFile(archive, "rb") as stream, _open_tar(stream) as tar:  # type: ignore[no-untyped-call]
        for member in tar:
            members += 1
            path, linked = names.add(member)
            size = sizes[linked] if linked else member.size
            total += size
            if members > max_members:
                raise ArchiveError(f"The archive has more than {max_members:,} members.")
            if total > max_bytes:
                raise ArchiveSizeError(f"The archive unpacks to more than {max_bytes:,} bytes.")
            if len(names) > max_members:
                raise ArchiveError(f"The archive has more than {max_members:,} members, with the folders they lie in.")
            if not member.isdir():
                sizes[path] = size
            if folder is not None:
                _write(tar, member, folder / path, linked and folder / linked)
        padding = 0
        while chunk := stream.read(_CHUNK_BYTES):  # to the end, where the checksum is, which tarfile skips
            padding += len(chunk)
            if padding > max_bytes:
                raise ArchiveSizeError(f"The archive unpacks to more than {max_bytes:,} bytes.")
    if members == 0:
        raise ArchiveError("The archive is empty.")
    return sum(sizes.values())


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, linked: Path | None) -> None:
    """Write one member whose name was checked; of what else it states, only the rights of a program are taken over.

    Not by ``tar.extract``, which is safe only with its filters, and these came with Python 3.11.4.
    """
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if linked != target:
        target.unlink(missing_ok=True)
    if linked:
        if linked != target:
            target.hardlink_to(linked)
        return
    content = tar.extractfile(member)
    assert content is not None
    with content, target.open("xb") as file:
        shutil.copyfileobj(content, file, _CHUNK_BYTES)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _open_tar(stream: gzip_ng.GzipNGFile) -> tarfile.TarFile:
    sizes: dict[str, Any] = {"bufsize": _CHUNK_BYTES, "copybufsize": _CHUNK_BYTES}
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member, **sizes)


class _Member(tarfile.TarInfo):
    """A member whose extended headers have a limited size: tarfile reads each into memory at once."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADER_TYPES:
            if self.size > MAX_ARCHIVE_HEADER_BYTES:
                raise ArchiveError(f"The archive has a header of {self.size:,} bytes.")
            row: int = getattr(tar, "headers_in_a_row", 0) + 1  # each is read within the one before
            if row > MAX_ARCHIVE_HEADERS_IN_A_ROW:
                raise ArchiveError(f"The archive has more than {MAX_ARCHIVE_HEADERS_IN_A_ROW} headers for a member.")
        else:
            row = 0
        tar.headers_in_a_row = row  # type: ignore[attr-defined]  # ours
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # tarfile's own, without a type
        return member

    def _refuse_sparse(self, *_: Any) -> None:
        """Refuse a sparse file, whose map would be read into memory before anything is known of it."""
        raise ArchiveError(f"The archive holds {self.name!r}, a sparse file, which is neither a file nor a folder.")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class _Names:
    """The names of an archive's members so far; refuses those that mean harm or two things at once."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, ...], Path] = {}
        self._folders: set[tuple[str, ...]] = set()

    def __len__(self) -> int:
        """Return how many files and folders there are, implied ones included."""
        return len(self._files) + len(self._folders)

    def add(self, member: tarfile.TarInfo) -> tuple[Path, Path | None]:
        """Take a name in.

        Returns:
            The path that it means, relative to where the archive is unpacked, and that of the file that it is a hard
            link to, if it is one.

        Raises:
            ArchiveError: If it must not be unpacked.
        """
        linked = self._files.get(_parts(_path(member.linkname))) if member.islnk() else None
        if not (member.isreg() or member.isdir() or linked) or member.issparse() or member.size < 0:
            raise ArchiveError(f"The archive holds {member.name!r}, which is neither a file nor a folder.")
        if not _can_be_shown(member.name):
            raise ArchiveError(f"The archive holds {member.name!r}, a name with characters that cannot be shown.")
        path = _path(member.name)
        if ".." in path.parts:
            raise ArchiveError(f"The archive holds {member.name!r}, a path that must not be unpacked.")
        parts = _parts(path)
        parents = {parts[:length] for length in range(1, len(parts))}
        if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
            raise ArchiveError(f"The archive holds {member.name[:40]!r}…, a name of more than {MAX_NAME_BYTES} bytes.")
        if len(parts) > MAX_ARCHIVE_DEPTH:
            raise ArchiveError(f"The archive holds a path of more than {MAX_ARCHIVE_DEPTH} folders.")
        is_other = parts in self._folders if not member.isdir() else parts in self._files
        if is_other or parents & self._files.keys() or self._files.get(parts, path) != path:
            raise ArchiveError(f"The archive holds {member.name!r} twice, as a file and a folder or in two spellings.")
        self._folders |= parents
        if member.isdir():
            self._folders.add(parts)
        else:
            self._files[parts] = path
        return path, linked


def _path(name: str) -> Path:
    return Path(*(part for part in name.split("/") if part not in ("", ".")))


def _parts(path: Path) -> tuple[str, ...]:
    """Return the parts of a path in one spelling: two of one text are one name to some file systems."""
    return tuple(unicodedata.normalize("NFC", part) for part in path.parts)


def _can_be_shown(name: str) -> bool:
    """Refuse control characters, text that runs the other way, undecodable bytes; but not what a Mac writes."""
    name = name.removesuffix(_ICON) if f"/{name}".endswith(f"/{_ICON}") else name
    return all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in name)


def pack(folder: Path, archive: Path) -> None:
    """Pack the contents of a folder into a ``tar.gz`` archive whose root is that folder."""
    # Stored, not compressed: gzip would save 7 % of the size of weights, at 32 MB a second.
    with tarfile.open(archive, "w:gz", compresslevel=0) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False)


def tree_size(folder: Path) -> int:
    """Return the total size of the files below a folder, in bytes."""
    return sum(os.lstat(path).st_size for path in folder.rglob("*") if path.is_file())

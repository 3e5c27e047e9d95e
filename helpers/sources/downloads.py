"""Downloads: reach a public address quickly or say why not, fetch within limits, unpack safely."""

import shutil
import stat
import threading
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from helpers.progress import Step

# Everything that is downloaded lands here; git ignores it.
DATA_FOLDER = Path(__file__).resolve().parents[2] / "data"

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_BYTES = 30.0
_CHUNK = 1 << 20


def check_reachable(url: str, *, seconds: float = _SECONDS_TO_CONNECT) -> None:
    """Find out in bounded time whether an address answers at all.

    Args:
        url: The address; proxies are used as the environment says.
        seconds: How long to wait.

    Raises:
        ConnectionError: If it does not answer, with the reason.
    """
    failure: list[str] = []

    def knock() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                pass
        except urllib.error.HTTPError as error:
            # Whatever it says, somebody answers; the download itself reports what is wrong.
            error.close()
        except (OSError, ValueError, HTTPException) as error:
            failure.append(str(getattr(error, "reason", None) or error))

    # Looking up a name has no time limit of its own, so a thread that can be left behind does it.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise ConnectionError(f"{url} did not answer within {seconds:.0f} seconds")
    if failure:
        raise ConnectionError(f"{url} cannot be reached: {failure[0]}")


def fetch(url: str, file: Path, *, limit: int) -> Path:
    """Download a file unless it is there already.

    Args:
        url: Where it is.
        file: Where it goes; it appears there only once it is complete.
        limit: Largest size accepted, in bytes.

    Returns:
        The file.

    Raises:
        ConnectionError: If the address does not answer, stops in the middle, or sends more than `limit`.
    """
    if file.exists():
        return file
    check_reachable(url)
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=_SECONDS_BETWEEN_BYTES) as response,
            part.open("wb") as target,
            Step(f"Download of {file.name}", unit="B") as step,
        ):
            expected = response.headers.get("Content-Length")
            step.total = int(expected) if expected else None
            while chunk := response.read(_CHUNK):
                target.write(chunk)
                step.advance(len(chunk))
                if step.done > limit:
                    raise ConnectionError(f"{url} sends more than {limit:,} bytes, which is not the expected file")
            if expected and step.done != int(expected):
                raise ConnectionError(f"{url} stopped after {step.done:,} of {int(expected):,} bytes")
        part.replace(file)
    except (OSError, HTTPException) as error:
        raise error if isinstance(error, ConnectionError) else ConnectionError(f"{url}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return file


def unpack_images(archive: Path, folder: Path, *, inside: str, limit: int, most: int) -> Path:
    """Unpack the image files below one folder of a ZIP archive that is not trusted.

    Args:
        archive: The ZIP file.
        folder: Where the images go; it appears only once all are there.
        inside: Name of a folder in the archive; what lies elsewhere is left out.
        limit: Most bytes unpacked in all.
        most: Most files unpacked.

    Returns:
        The folder.

    Raises:
        ValueError: If the archive is damaged, has no such folder, or would unpack to more than the limits.
    """
    if folder.exists():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as source:
            members = _members(source, inside)
            if not members:
                raise ValueError(f"it has no folder {inside} with images")
            if len(members) > most:
                raise ValueError(f"it holds more than {most:,} images")
            room = limit
            for member, name in members:
                target = part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                room -= _copy(source, member, target, room)
        part.replace(folder)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}. Run again to download it anew.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _members(source: zipfile.ZipFile, inside: str) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """List a ZIP archive's plain files of the form `…/<inside>/<class>/<name>`, with their last two parts."""
    members = []
    for member in source.infolist():
        parts = PurePosixPath(member.filename).parts
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or len(parts) < 3 or parts[-3] != inside or kind not in (0, stat.S_IFREG):
            continue
        # Only the last two parts are used, and neither may lead elsewhere.
        if any(part in ("..", ".", "/") or "\\" in part or ":" in part for part in parts[-2:]):
            raise ValueError(f"it holds the unsafe path {member.filename!r}")
        members.append((member, PurePosixPath(*parts[-2:])))
    return members


def _copy(source: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, room: int) -> int:
    """Unpack one file and return its size; sizes that the archive states are not believed."""
    size = 0
    with source.open(member) as packed, target.open("wb") as plain:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            if size > room:
                raise ValueError("it unpacks to more than expected")
            plain.write(chunk)
    return size

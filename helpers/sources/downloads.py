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
from typing import Any

import pooch

from helpers.display.progress import Step

# Everything that is downloaded lands here; git ignores it.
DATA_FOLDER = Path(__file__).resolve().parents[2] / "data"

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_BYTES = 30.0


def check_reachable(url: str, *, seconds: float = _SECONDS_TO_CONNECT) -> None:
    """Find out in bounded time whether an address answers at all; proxies are used as the environment says.

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


class _Bar(Step):
    """A step that pooch advances, and that ends a download which sends too much."""

    limit: int

    def update(self, amount: int) -> None:
        self.advance(amount)
        # pooch counts whole chunks, of which the last is seldom full.
        if (self.total or self.done - amount) > self.limit:
            raise ConnectionError(f"more than {self.limit:,} bytes, which is not the expected file")

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing to close: the step ends with its block."""


def fetch(url: str, file: Path, *, limit: int, known_hash: str | None = None) -> Path:
    """Download a file unless it is there already; it appears only once it is complete.

    Args:
        url: Where it is.
        file: Where it goes.
        limit: Largest size accepted, in bytes.
        known_hash: `"md5:…"` or `"sha256:…"`, where one is published.

    Raises:
        ConnectionError: If the address does not answer, stops in the middle, or sends more than `limit` or
            another file than that of the hash.
    """

    def download(url: str, target: Any, _: Any) -> None:
        check_reachable(url)
        with _Bar(f"Download of {file.name}", unit="B") as bar:
            bar.limit = limit
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=_SECONDS_BETWEEN_BYTES)(url, target, None)

    pooch.get_logger().setLevel("WARNING")  # the step says it
    try:
        pooch.retrieve(url, known_hash, file.name, file.parent, downloader=download)
    except (OSError, ValueError) as error:  # the second is another hash
        raise ConnectionError(str(error) if url in str(error) else f"{url}: {error}") from error
    return file


def unpack_images(archive: Path, folder: Path, *, inside: str, limit: int, most: int) -> Path:
    """Unpack the image files in the folders of one folder of a ZIP archive that is not trusted.

    Args:
        archive: The ZIP file.
        folder: Where the images go; it appears only once all are there.
        inside: Name of a folder in the archive; what lies elsewhere is left out.
        limit: Most bytes unpacked in all.
        most: Most files unpacked.

    Raises:
        ValueError: If the archive is damaged, has no such folder, or would unpack to more than the limits.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as source:
            members = _members(source, inside)
            if not members:
                raise ValueError(f"it has no folder {inside} with images")
            if len(members) > most:
                raise ValueError(f"it holds more than {most:,} images")
            # zipfile reads no more of a file than the size that is stated.
            if sum(member.file_size for member in members.values()) > limit:
                raise ValueError("it unpacks to more than expected")
            for name, member in members.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).write_bytes(source.read(member))
        part.replace(folder)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}. Run again to download it anew.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _members(source: zipfile.ZipFile, inside: str) -> dict[Path, zipfile.ZipInfo]:
    """List a ZIP archive's plain files of the form `…/<inside>/<class>/<name>`, by their last two parts."""
    members = {}
    for member in source.infolist():
        parts = PurePosixPath(member.filename).parts
        is_plain = not member.is_dir() and stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
        if len(parts) >= 3 and parts[-3] == inside and is_plain:
            if any(part in ("..", ".", "/") or "\\" in part or ":" in part for part in parts[-2:]):
                raise ValueError(f"it holds the unsafe path {member.filename!r}")
            members[Path(*parts[-2:])] = member
    return members

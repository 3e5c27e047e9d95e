import io
import socket
import threading
import zipfile
from pathlib import Path

import pytest

from helpers.sources import downloads


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def zip_of(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpack(archive: Path, *, limit: int = 10_000, most: int = 10) -> Path:
    return downloads.unpack_images(archive, archive.parent / "images", inside="Dataset", limit=limit, most=most)


def test_a_file_is_downloaded_once(server, tmp_path):
    served, url = server
    (served / "data.bin").write_bytes(b"abc")
    target = downloads.fetch(f"{url}/data.bin", tmp_path / "cache" / "data.bin", limit=10)
    assert target.read_bytes() == b"abc"
    (served / "data.bin").unlink()
    assert downloads.fetch(f"{url}/data.bin", target, limit=10).read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, {}, "404"),
        (b"x" * 101, {}, "more than 100 bytes"),
        (b"<html>please sign in</html>", {"known_hash": f"md5:{'0' * 32}"}, r"w\.h5.* hash .*not match"),
    ],
    ids=["missing", "too large", "a page instead"],
)
def test_what_is_not_the_file_is_refused_and_not_kept(server, tmp_path, content, options, words):
    served, url = server
    if content:
        (served / "w.h5").write_bytes(content)
    with pytest.raises(ConnectionError, match=words):
        downloads.fetch(f"{url}/w.h5", tmp_path / "cache" / "w.h5", limit=100, **options)
    assert not list(tmp_path.glob("cache/*"))


def test_a_download_that_ends_early_is_not_kept(tmp_path):
    """The server promises a hundred bytes and sends three."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(2):  # the question whether anybody is there, and the download
                connection, _address = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nabc")

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/data.bin"
        with pytest.raises(ConnectionError, match=r"3 bytes read, 97 more expected"):
            downloads.fetch(url, tmp_path / "cache" / "data.bin", limit=1000)
    assert not list(tmp_path.glob("cache/*"))


def test_nobody_listens(closed_port):
    with pytest.raises(ConnectionError, match="cannot be reached"):
        downloads.check_reachable(f"http://127.0.0.1:{closed_port}/")


def test_a_server_that_never_answers_is_given_up():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConnectionError, match=r"did not answer|timed out"),
    ):
        downloads.check_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.2)


def test_only_the_images_are_unpacked(tmp_path):
    files = {"repo-master/README.md": b"r", "repo-master/Dataset/0/a.jpg": b"A", "repo-master/Dataset/1/b.jpg": b"B"}
    folder = unpack(zip_of(files, tmp_path / "a.zip"))
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {"0/a.jpg", "1/b.jpg"}
    assert (folder / "1" / "b.jpg").read_bytes() == b"B"


@pytest.mark.parametrize("name", ["Dataset/../../evil.jpg", "Dataset/../evil.jpg", "Dataset/0/..", "Dataset/0/c:evil"])
def test_paths_that_lead_elsewhere(tmp_path, name):
    archive = zip_of({"Dataset/0/good.jpg": b"x", name: b"evil"}, tmp_path / "a.zip")
    try:
        folder = unpack(archive)
    except ValueError as error:
        assert "unsafe path" in str(error)
    else:
        assert [path.name for path in folder.rglob("*.*")] == ["good.jpg"]
    assert not list(tmp_path.rglob("*evil*"))
    assert not list(tmp_path.parent.glob("*evil*"))


def test_neither_a_link_nor_an_absolute_path_leads_outside(tmp_path):
    link = zipfile.ZipInfo("Dataset/0/link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(f"{tmp_path}/Dataset/0/good.jpg", b"x")
    folder = unpack(tmp_path / "a.zip")
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")] == ["0/good.jpg"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"Dataset/0/bomb.jpg": bytes(5_000_000)}, "unpacks to more than expected"),
        ({f"Dataset/0/{number}.jpg": b"x" for number in range(11)}, "more than 10 images"),
        ({"other/0/a.jpg": b"A"}, "no folder Dataset"),
        (b"<html>sign in</html>", "Run again to download"),
        (b"PK\x03\x04 damaged", "Run again to download"),
    ],
    ids=["bomb", "too many", "another folder", "a page", "damaged"],
)
def test_what_is_not_the_expected_archive_is_refused_and_leaves_nothing(tmp_path, files, words):
    archive = tmp_path / "a.zip"
    archive.write_bytes(files) if isinstance(files, bytes) else zip_of(files, archive)
    with pytest.raises(ValueError, match=f"cannot be unpacked.*{words}"):
        unpack(archive)
    assert not list(tmp_path.glob("images*"))


def test_a_stated_size_that_is_too_small_is_a_damaged_archive(tmp_path):
    archive = zip_of({"Dataset/0/bomb.jpg": bytes(5_000_000)}, tmp_path / "a.zip")
    archive.write_bytes(archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        unpack(archive)
    assert not list(tmp_path.glob("images*"))


def test_an_archive_with_a_damaged_member(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("Dataset/0/a.jpg", b"A" * 500)
    damaged = bytearray(buffer.getvalue())
    damaged[100] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip")
    assert not list(tmp_path.glob("images*"))

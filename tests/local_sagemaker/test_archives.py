import io
import tarfile

import pytest

from local_sagemaker.archives import ArchiveError, pack, unpack

LIMITS = {"max_bytes": 1_000_000, "max_members": 20}


def member(name, content=b"x", **fields):
    """A member of an archive; ``fields`` set its type, link target or declared size."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


def archive(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, content if info.isreg() else None)
    return path


HOSTILE = {
    "a path that climbs": (member("../evil"), "must not be unpacked"),
    "a path that climbs later": (member("1/../../evil"), "must not be unpacked"),
    "a symbolic link": (member("link", b"", type=tarfile.SYMTYPE, linkname="/etc"), "neither a file nor a folder"),
    "a hard link": (member("link", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "neither a file nor a folder"),
    "a device": (member("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "neither a file nor a folder"),
    "a pipe": (member("pipe", b"", type=tarfile.FIFOTYPE), "neither a file nor a folder"),
    "a bomb": (member("zeros", bytes(2_000_000)), "unpacks to more than 1,000,000 bytes"),
}


def test_what_was_packed_comes_out(tmp_path):
    source = tmp_path / "source"
    (source / "1" / "variables").mkdir(parents=True)
    (source / "1" / "saved_model.pb").write_bytes(b"graph")
    (source / "1" / "variables" / "data").write_bytes(bytes(1000))
    pack(source, tmp_path / "a.tar.gz")
    size = unpack(tmp_path / "a.tar.gz", tmp_path / "target", **LIMITS)
    assert size == 1005
    assert (tmp_path / "target/1/saved_model.pb").read_bytes() == b"graph"
    assert (tmp_path / "target/1/variables/data").read_bytes() == bytes(1000)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_wholly(tmp_path, name):
    bad, reason = HOSTILE[name]
    folder = tmp_path / "disk" / "model"
    with pytest.raises(ArchiveError, match=reason):
        unpack(archive(tmp_path / "a.tar.gz", member("1/good"), bad), folder, **LIMITS)
    assert list((tmp_path / "disk").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "disk"}


def test_an_absolute_path_stays_below_the_folder(tmp_path):
    outside = tmp_path / "outside"
    bad = archive(tmp_path / "a.tar.gz", member(str(outside)))
    unpack(bad, tmp_path / "model", **LIMITS)  # Python's data filter drops the leading slash
    assert not outside.exists()
    assert len([path for path in (tmp_path / "model").rglob("*") if path.is_file()]) == 1


def test_a_declared_size_that_the_archive_lacks_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    info, _ = member("huge", b"", size=10**15)
    with tarfile.open(path, "w:gz") as tar:
        tar.fileobj.write(info.tobuf())
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model", **LIMITS)


def test_too_many_members_are_refused(tmp_path):
    path = archive(tmp_path / "a.tar.gz", *(member(f"{n}") for n in range(21)))
    with pytest.raises(ArchiveError, match="more than 20 members"):
        unpack(path, tmp_path / "model", **LIMITS)


def test_setuid_bits_are_dropped(tmp_path):
    path = archive(tmp_path / "a.tar.gz", member("tool", mode=0o6777))
    unpack(path, tmp_path / "model", **LIMITS)
    assert (tmp_path / "model/tool").stat().st_mode & 0o7022 == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x1f\x8b\x08\x00", b"PK\x03\x04 a zip file"],
    ids=["empty", "text", "gzip header", "zip"],
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"no readable tar.gz|is empty"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "model", **LIMITS)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    import random

    path = archive(tmp_path / "a.tar.gz", member("data", random.Random(1).randbytes(200_000)))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model", **LIMITS)
    assert not (tmp_path / "model").exists()


def test_an_archive_without_members_is_refused(tmp_path):
    with pytest.raises(ArchiveError, match="is empty"):
        unpack(archive(tmp_path / "a.tar.gz"), tmp_path / "model", **LIMITS)

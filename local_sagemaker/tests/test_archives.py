import gzip
import io
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    "a path that climbs and comes back": (member("1/../1/evil"), "must not be unpacked"),
    "a symbolic link": (member("link", b"", type=tarfile.SYMTYPE, linkname="/etc"), "neither a file nor a folder"),
    "a hard link": (member("link", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "neither a file nor a folder"),
    "a device": (member("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "neither a file nor a folder"),
    "a pipe": (member("pipe", b"", type=tarfile.FIFOTYPE), "neither a file nor a folder"),
    "a sparse file": (member("sparse", b"", type=tarfile.GNUTYPE_SPARSE), "a sparse file"),
    "a control character": (member("1/a\nb"), "cannot be shown"),
    "a terminal's escape": (member("1/\x1b[2J"), "cannot be shown"),
    "text that runs the other way": (member("1/\u202egpj.exe"), "cannot be shown"),
    "bytes that are no text": (member("1/\udcff"), "cannot be shown"),
    "a hard link that climbs": (member("1/b", b"", type=tarfile.LNKTYPE, linkname="../good"), "neither a file nor"),
    "a hard link to what comes later": (member("1/b", b"", type=tarfile.LNKTYPE, linkname="1/c"), "neither a file nor"),
    "a hard link to a folder": (member("1/b", b"", type=tarfile.LNKTYPE, linkname="1"), "neither a file nor a folder"),
    "a folder that ends as a Mac's icon": (member("1/bad-Icon\r"), "cannot be shown"),
    "a folder that is a file": (member("1/good/below"), "twice"),
    "a file that is a folder": (member("1"), "twice"),
    "a long path": (member("a/" * 101 + "b"), "more than 100 folders"),
    "a long name": (member("a" * 300), "a name of more than 255 bytes"),
    "a sparse file in the newer form": (
        member("sparse", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}),
        "a sparse file",
    ),
    "folders that are only implied": (member("/".join("abcdefghijklmnopqrstuvwxyz")), "more than 20 members, with"),
    "a huge header": (member("x", pax_headers={"comment": "x" * 100_000}), "header of 100,"),
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
    unpack(bad, tmp_path / "model", **LIMITS)
    assert not outside.exists()
    assert len([path for path in (tmp_path / "model").rglob("*") if path.is_file()]) == 1


def test_a_declared_size_that_the_archive_lacks_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    info, _ = member("huge", b"", size=10**15)
    with tarfile.open(path, "w:gz") as tar:
        tar.fileobj.write(info.tobuf())
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model", **LIMITS)


@pytest.mark.parametrize(("stated", "given"), [(0o6777, 0o755), (0o100, 0o755), (0o666, 0o644), (0o000, 0o644)])
def test_of_the_rights_of_a_file_only_that_of_a_program_is_kept(tmp_path, stated, given):
    path = archive(tmp_path / "a.tar.gz", member("tool", mode=stated))
    unpack(path, tmp_path / "model", **LIMITS)
    assert stat.S_IMODE((tmp_path / "model/tool").stat().st_mode) == given


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


GOOD = gzip.compress(tarfile.TarInfo("1").tobuf() + bytes(10_240))


def test_gzip_members_may_follow_each_other_with_zeros_between_them(tmp_path):
    content = gzip.decompress(GOOD)
    path = tmp_path / "many.tar.gz"
    path.write_bytes(gzip.compress(content[:700]) + bytes(70_000) + gzip.compress(content[700:]) + bytes(3))
    assert unpack(path, tmp_path / "model", **LIMITS) == 0
    assert (tmp_path / "model" / "1").is_file()


@pytest.mark.parametrize(
    "content",
    [GOOD[:-1], GOOD[:-8], GOOD + b"x", GOOD + bytes(70_000) + b"garbage", GOOD + GOOD[:-1]],
    ids=["one byte less", "no trailer", "a byte more", "garbage after zeros", "half a member more"],
)
def test_an_archive_that_ends_wrongly_is_refused(tmp_path, content):
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model", **LIMITS)


def test_zeros_after_the_archive_count_against_the_limit(tmp_path):
    path = tmp_path / "padded.tar.gz"
    path.write_bytes(GOOD + gzip.compress(bytes(LIMITS["max_bytes"] + 100_000)))
    with pytest.raises(ArchiveError, match="unpacks to more than 1,000,000 bytes"):
        unpack(path, tmp_path / "model", **LIMITS)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "checksum"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    import random

    path = archive(tmp_path / "a.tar.gz", member("data", random.Random(1).randbytes(200_000)))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[-6 if damage == "checksum" else len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model", **LIMITS)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("again", ["1/a", "./1//a"])
def test_of_a_file_that_is_there_twice_the_last_counts(tmp_path, again):
    path = archive(tmp_path / "a.tar.gz", member("1/a", b"long"), member(again, b"new", mode=0o755))
    assert unpack(path, tmp_path / "model", **LIMITS) == 3
    assert (tmp_path / "model/1/a").read_bytes() == b"new"


def test_a_hard_link_to_a_file_of_the_archive_is_that_file(tmp_path):
    link = member("1/b", b"", type=tarfile.LNKTYPE, linkname="./1/a")
    path = archive(tmp_path / "a.tar.gz", member("1/a", b"same"), link, member("1/a", b"other"))
    assert unpack(path, tmp_path / "model", **LIMITS) == 9
    assert [(tmp_path / "model/1" / name).read_bytes() for name in "ab"] == [b"other", b"same"]


@pytest.mark.parametrize("name", ["1/Bildschirmfoto 14.05.11\u202fPM.png", "1/Icon\r", "Icon\r"])
def test_names_that_a_mac_writes_are_unpacked(tmp_path, name):
    unpack(archive(tmp_path / "a.tar.gz", member(name)), tmp_path / "model", **LIMITS)
    assert (tmp_path / "model" / name).read_bytes() == b"x"


def test_an_archive_without_members_is_refused(tmp_path):
    with pytest.raises(ArchiveError, match="is empty"):
        unpack(archive(tmp_path / "a.tar.gz"), tmp_path / "model", **LIMITS)


def test_a_name_in_two_spellings_of_unicode_is_one_name(tmp_path):
    path = archive(tmp_path / "a.tar.gz", member("caf\u00e9"), member("cafe\u0301"))
    with pytest.raises(ArchiveError, match="twice"):
        unpack(path, tmp_path / "model", **LIMITS)


@pytest.mark.parametrize("mtime", [2**62, 8**12, -(2**40)])
def test_a_time_that_the_system_does_not_know_is_passed_over(tmp_path, mtime):
    unpack(archive(tmp_path / "a.tar.gz", member("x", mtime=mtime)), tmp_path / "model", **LIMITS)
    assert (tmp_path / "model/x").read_bytes() == b"x"


def test_a_header_that_states_a_size_beyond_memory_is_refused_unread(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ArchiveError, match="header of 1,099,511,627,776 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "model", **LIMITS)


def test_extended_headers_in_a_row_are_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type = tarfile.XGLTYPE
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) * 500 + member("x", b"")[0].tobuf() + bytes(1024))
    with pytest.raises(ArchiveError, match="more than 16 headers for a member"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "model", **LIMITS)


names = st.text(st.sampled_from("ab./\\ \u00e9\u0301\x00\n\u202e-~"), min_size=1, max_size=12)
kinds = st.sampled_from(
    [tarfile.REGTYPE] * 6
    + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
members = st.tuples(names, kinds, st.binary(max_size=40), names, st.integers(0, 0o7777))


@settings(max_examples=150)
@given(st.lists(members, max_size=6))
def test_whatever_an_archive_holds_nothing_is_written_elsewhere(entries):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with tarfile.open(root / "a.tar.gz", "w:gz") as tar:
            for name, kind, content, link, mode in entries:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.mode = kind, link, mode
                info.size = len(content) if info.isreg() else 0
                tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
        unpack_or_refuse(root)


@pytest.mark.slow
@settings(max_examples=250)
@given(st.data())
def test_a_tar_file_with_altered_bytes_is_unpacked_or_refused(data):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=data.draw(st.sampled_from([0, 1, 2]))) as tar:
        for name in ("1/a", "1/b" * data.draw(st.sampled_from([1, 60]))):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    content = bytearray(target.getvalue()[:4096])
    for position, value in data.draw(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=4)):
        if position < len(content):
            content[position] = value
    for start in range(0, len(content) - 511, 512):  # checksums that hold, so that the fields behind them are read
        if any(content[start : start + 512]):
            content[start + 148 : start + 156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
    with tempfile.TemporaryDirectory() as folder:
        with gzip.open(Path(folder) / "a.tar.gz", "wb", compresslevel=1) as file:
            file.write(content)
        unpack_or_refuse(Path(folder))


def unpack_or_refuse(root):
    """Unpack root/a.tar.gz; whether that succeeds or is refused, only root/model may be new."""
    try:
        size = unpack(root / "a.tar.gz", root / "model", **LIMITS)
    except ArchiveError:
        assert {path.name for path in root.iterdir()} == {"a.tar.gz"}
    else:
        assert {path.name for path in root.iterdir()} == {"a.tar.gz", "model"}
        found = [Path(where) / name for where, folders, files in os.walk(root / "model") for name in folders + files]
        assert not any(path.is_symlink() for path in found)
        assert sum(path.stat().st_size for path in found if path.is_file()) == size

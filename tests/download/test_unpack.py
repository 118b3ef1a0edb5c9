"""Facts of unpacking: what is let in, what is refused, and that nothing is left of a refusal."""

import errno
import gzip
import io
import os
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pipeline.download import unpack as module
from pipeline.download.unpack import unpack
from pipeline.errors import InputError

LIMIT = 10_000_000
Members = Iterable[tuple[str, bytes]]
Make = Callable[[Path, Members], Path]


def zipped(path: Path, members: Members) -> Path:
    """A zip of (name, content); a name that ends in / is a folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members:
            content.writestr(name, data)
    return path


def header(name: str, size: int = 0, type: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, type
    return info


def tarred(path: Path, members: Members, mode: str = "w") -> Path:
    """A tar of (name, content); a name that ends in / is a folder."""
    with tarfile.open(path, mode) as content:  # type: ignore[call-overload]
        for name, data in members:
            folder = name.endswith("/")
            info = header(name, len(data), tarfile.DIRTYPE if folder else tarfile.REGTYPE)
            content.addfile(info, io.BytesIO(data))
    return path


def gzipped(path: Path, members: Members) -> Path:
    return tarred(path, members, "w:gz")


def tar_of(*infos: tarfile.TarInfo) -> bytes:
    """A tar of headers alone, with its end."""
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) for info in infos) + bytes(1024)


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The folder to unpack as; it has an older file."""
    folder = tmp_path / "out" / "data"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where the tests put their archive; the name says nothing of the format."""
    return tmp_path / "a.archive"


def refused(archive: Path, target: Path, message: str, limit: int = LIMIT) -> None:
    """Unpacking raises InputError with the archive and `message`; the older folder stays."""
    with pytest.raises(InputError, match=f"a.archive: {message}"):
        unpack(archive, target, limit=limit)
    assert files(target) == {"old": b""}
    assert [path.name for path in target.parent.iterdir()] == ["data"]
    assert not list(target.parents[1].rglob("*evil*"))


formats = pytest.mark.parametrize("make", [zipped, tarred, gzipped])
tars = pytest.mark.parametrize("make", [tarred, gzipped])


@formats
def test_the_format_is_told_by_content_and_the_older_folder_replaced(
    make: Make, archive: Path, target: Path
) -> None:
    make(archive, [("./a/", b""), ("a/b/1.jpg", b"one"), ("top.txt", b"two"), ("empty/", b"")])
    unpack(archive, target, limit=6)
    assert files(target) == {"a/b/1.jpg": b"one", "top.txt": b"two"}
    assert (target / "empty").is_dir()
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_an_inner_tar_becomes_a_folder_and_is_not_stored(archive: Path, target: Path) -> None:
    inner = {
        wnid: tarred(archive.with_name(wnid), [(f"{wnid}_1.JPEG", wnid.encode())]).read_bytes()
        for wnid in ("n01440764", "n01443537")
    }
    tarred(archive, [(f"{wnid}.tar", content) for wnid, content in inner.items()])
    unpack(archive, target, limit=18)
    assert files(target) == {
        "n01440764/n01440764_1.JPEG": b"n01440764",
        "n01443537/n01443537_1.JPEG": b"n01443537",
    }


def test_a_tar_in_a_zip_is_a_file(archive: Path, target: Path) -> None:
    unpack(zipped(archive, [("a.tar", b"x")]), target, limit=1)
    assert files(target) == {"a.tar": b"x"}


@tars
def test_of_two_files_of_one_name_the_later_stays(make: Make, archive: Path, target: Path) -> None:
    unpack(make(archive, [("a", b"first"), ("a", b"2")]), target, limit=6)
    assert files(target) == {"a": b"2"}


def test_permissions_owners_and_setuid_are_not_carried_over(archive: Path, target: Path) -> None:
    folder, hidden, program = header("a", type=tarfile.DIRTYPE), header("a/b"), header("c")
    folder.mode, hidden.mode, program.mode = 0, 0, 0o6777
    hidden.uid = hidden.gid = 12345
    archive.write_bytes(tar_of(folder, hidden, program))
    unpack(archive, target, limit=0)
    (target / "reference").touch()
    modes = {path.stat().st_mode for path in (target / "a/b", target / "c", target / "reference")}
    assert len(modes) == 1
    assert modes.pop() & stat.S_IRUSR
    assert (target / "a/b").stat().st_uid == os.getuid()


@formats
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil", "leads out of the folder"),
        ("a/../../evil", "leads out of the folder"),
        ("a/..", "leads out of the folder"),
        ("/evil", "has an absolute or foreign name"),
        ("..\\evil", "has an absolute or foreign name"),
        ("C:/evil", "has an absolute or foreign name"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    make: Make, name: str, fault: str, archive: Path, target: Path
) -> None:
    make(archive, [("good", b"x"), (name, b"x")])
    refused(archive, target, f"member '.*' {fault}; refused")


def test_a_nul_in_a_name_is_refused(archive: Path, target: Path) -> None:
    zipped(archive, [("evilX.jpg", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"evilX", b"evil\0"))
    refused(archive, target, r"member 'evil\\x00.jpg' has an absolute or foreign name")


def test_an_inner_tar_is_held_to_the_same_rules(archive: Path, target: Path) -> None:
    inner = tarred(archive.with_name("inner"), [("../../evil", b"x")]).read_bytes()
    refused(tarred(archive, [("n1.tar", inner)]), target, "member '../../evil' leads out")


@pytest.mark.parametrize(
    "type",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"],
)
def test_a_link_or_special_file_in_a_tar_is_refused(
    type: bytes, archive: Path, target: Path
) -> None:
    link = header("here", type=type)
    link.linkname = "good"
    archive.write_bytes(tar_of(header("good"), link))
    refused(archive, target, "member 'here' is a link or a special file; refused")


def test_a_link_in_a_zip_is_refused(archive: Path, target: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(link, "/etc/passwd")
    refused(archive, target, "member 'link' is a link or a special file; refused")


@formats
@pytest.mark.parametrize("names", [["a", "a/"], ["a/b", "a"], ["a", "a/b"], ["a", "a/b/c"], ["."]])
def test_a_name_that_is_a_file_and_a_folder_is_refused(
    make: Make, names: list[str], archive: Path, target: Path
) -> None:
    make(archive, [(name, b"") for name in names])
    refused(archive, target, f"member '{names[-1].rstrip('/')}/?' is both a file and a folder")


@formats
def test_the_files_together_may_not_exceed_the_limit(
    make: Make, archive: Path, target: Path
) -> None:
    make(archive, [("a", b"x" * 600), ("b", b"x" * 600)])
    refused(archive, target, "member 'b' unpacks to more than 1,000 bytes in all", limit=1000)
    unpack(archive, target, limit=1200)


@pytest.mark.parametrize("make", [zipped, gzipped])
def test_a_bomb_is_refused_before_it_is_written(make: Make, archive: Path, target: Path) -> None:
    make(archive, [("zeros", bytes(50_000_000))])
    assert archive.stat().st_size < 100_000
    refused(archive, target, "member 'zeros' unpacks to more than 1,000,000 bytes", 1_000_000)


def test_a_bomb_in_an_inner_tar_is_refused(archive: Path, target: Path) -> None:
    inner = tarred(archive.with_name("inner"), [("zeros", bytes(50_000_000))]).read_bytes()
    gzipped(archive, [("n1.tar", inner)])
    refused(archive, target, "member 'zeros' unpacks to more than 1,000,000 bytes", 1_000_000)


def test_bytes_count_as_written_whatever_was_declared(
    archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(_: object) -> list[module._Member]:
        return [module._Member("a", "file", 1, lambda: io.BytesIO(bytes(5_000_000)))]

    monkeypatch.setattr(module, "_members", lying)
    archive.touch()
    refused(archive, target, "member 'a' unpacks to more than 1,000,000 bytes", 1_000_000)


def test_a_zip_that_declares_too_little_is_corrupt(archive: Path, target: Path) -> None:
    zipped(archive, [("a", b"x" * 1000)])
    size = struct.pack("<L", 1000)
    archive.write_bytes(archive.read_bytes().replace(size, struct.pack("<L", 10)))
    refused(archive, target, "corrupt archive", limit=100)


def test_zeros_without_end_after_a_tar_are_refused(archive: Path, target: Path) -> None:
    archive.write_bytes(gzip.compress(tar_of(header("a")) + bytes(50_000_000)))
    refused(archive, target, "corrupt archive .data after the end of the tar")


@pytest.mark.parametrize("type", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_of_many_bytes_is_not_read_into_memory(
    type: bytes, archive: Path, target: Path
) -> None:
    archive.write_bytes(tar_of(header("a", 2**40, type)))
    refused(archive, target, "corrupt archive .header of 1099511627776 bytes")


def test_a_negative_size_is_refused(archive: Path, target: Path) -> None:
    archive.write_bytes(tar_of(header("a", -600)))
    refused(archive, target, "member 'a' has a negative size|corrupt archive")


@formats
def test_members_are_counted(
    make: Make, archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)
    make(archive, [("a/", b""), ("b", b""), ("c", b"")])
    refused(archive, target, "member 'c' is one more than 2 members; refused")


@pytest.mark.parametrize("keep", [0, 3, 20, -30])
def test_a_truncated_zip_is_corrupt(keep: int, archive: Path, target: Path) -> None:
    content = zipped(archive, [("a", b"x" * 1000)]).read_bytes()
    archive.write_bytes(content[:keep])
    refused(archive, target, r"corrupt archive \(.*\); replace it")


@pytest.mark.parametrize(
    "keep",
    [0, 100, 512, 700, 1100, 1536, 2047],
    ids=["nothing", "header", "content", "in content", "next header", "2nd content", "padding"],
)
@tars
def test_a_truncated_tar_is_corrupt(make: Make, keep: int, archive: Path, target: Path) -> None:
    content = tarred(archive, [("a", b"x" * 300), ("b", b"x" * 300)]).read_bytes()
    cut = content[:keep]
    archive.write_bytes(gzip.compress(cut) if make is gzipped else cut)
    refused(archive, target, "corrupt archive")


@tars
def test_a_tar_may_lack_its_end(make: Make, archive: Path, target: Path) -> None:
    content = tarred(archive, [("a", b"x" * 300), ("b", b"x" * 300)]).read_bytes()[:2048]
    archive.write_bytes(gzip.compress(content) if make is gzipped else content)
    unpack(archive, target, limit=600)
    assert set(files(target)) == {"a", "b"}


def test_a_truncated_inner_tar_is_corrupt(archive: Path, target: Path) -> None:
    inner = tarred(archive.with_name("inner"), [("a", b"x")]).read_bytes()
    refused(tarred(archive, [("n1.tar", inner[:900])]), target, "corrupt archive")


def test_an_inner_tar_of_impossible_size_is_corrupt(archive: Path, target: Path) -> None:
    archive.write_bytes(tar_of(header("n1.tar", 2**70), header("a")) + bytes(20_000))
    refused(archive, target, "corrupt archive")


def test_a_damaged_header_is_not_the_end(archive: Path, target: Path) -> None:
    content = bytearray(tarred(archive, [("a", b""), ("b", b""), ("c", b"")]).read_bytes())
    content[512 + 7] ^= 0xFF
    archive.write_bytes(content)
    refused(archive, target, "corrupt archive .bad checksum")


@pytest.mark.parametrize("end", [4, 8, 12, 100])
def test_a_truncated_gzip_is_corrupt(end: int, archive: Path, target: Path) -> None:
    content = gzipped(archive, [("a", random.Random(0).randbytes(1000))]).read_bytes()
    archive.write_bytes(content[:-end])
    refused(archive, target, "corrupt archive")


def test_a_gzip_with_a_wrong_checksum_is_corrupt(archive: Path, target: Path) -> None:
    content = bytearray(gzipped(archive, [("a", b"x")]).read_bytes())
    content[-8] ^= 0xFF
    archive.write_bytes(content)
    refused(archive, target, "corrupt archive .CRC check failed")


def test_a_damaged_member_of_a_zip_is_corrupt(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("b", bytes(range(256)))
    data = bytearray(archive.read_bytes())
    data[data.index(bytes(range(64))) + 9] ^= 0xFF
    archive.write_bytes(data)
    refused(archive, target, "corrupt archive .Bad CRC-32")


def test_an_encrypted_member_is_refused(archive: Path, target: Path) -> None:
    content = bytearray(zipped(archive, [("a", b"x")]).read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flags] |= 1
    archive.write_bytes(content)
    refused(archive, target, "corrupt archive .*encrypted")


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"\x1f\x8b", b"PK\x03\x04"])
def test_another_file_is_no_archive(content: bytes, archive: Path, target: Path) -> None:
    archive.write_bytes(content)
    refused(archive, target, "corrupt archive")


@formats
def test_whatever_bytes_are_damaged_there_is_one_kind_of_error(
    make: Make, archive: Path, target: Path
) -> None:
    content = make(archive, [("a/b", b"x" * 300), ("c" * 120, b"y" * 300)]).read_bytes()
    content = content[:3072]
    chance = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(content))] = chance.randrange(256)
        archive.write_bytes(damaged)
        try:
            unpack(archive, target, limit=LIMIT)
        except InputError as error:
            assert "a.archive: " in str(error)
        assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_a_failure_to_write_names_archive_and_folder(archive: Path, target: Path) -> None:
    zipped(archive, [("n" * 300, b"x")])
    refused(archive, target, "cannot be unpacked as .*data: .*File name too long")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_remedy(
    code: int, archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, *_: object) -> None:
        raise OSError(code, os.strerror(code))

    zipped(archive, [("a", b"x")])
    monkeypatch.setattr(module._Unpacking, "_copy", full)
    refused(archive, target, "cannot be unpacked as .*: the disk is full, .*; free some space")


def test_a_missing_archive_is_named(archive: Path, target: Path) -> None:
    refused(archive, target, "cannot be unpacked as .*No such file")


def test_headers_of_a_tar_are_not_kept(
    archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    advance = module._Tar.next

    def counted(tar: module._Tar) -> tarfile.TarInfo | None:
        kept.append(len(tar.members))
        return advance(tar)

    monkeypatch.setattr(module._Tar, "next", counted)
    unpack(tarred(archive, [(str(n), b"") for n in range(50)]), target, limit=0)
    assert len(kept) > 50
    assert max(kept) <= 1

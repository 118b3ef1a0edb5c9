"""Unpacking an archive: within bounds, all or nothing."""

import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from stat import S_IFDIR, S_IFMT, S_IFREG
from typing import IO, Literal, Self

from pipeline.download.disk import explained
from pipeline.errors import InputError
from pipeline.folders import atomic_folder
from pipeline.progress import reading

# The largest official archive, the ILSVRC training images, has 1,281,167 files in 1,000 tars.
MAX_MEMBERS = 2_000_000
# Longest name or extended header of a tar, and longest padding after its end.
MAX_HEADER = 2**20
_CHUNK = 2**20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"


def unpack(archive: Path, target: Path, *, limit: int) -> None:
    """Unpack a zip, tar or gzipped tar, told apart by content, as the folder `target`.

    A member `<name>.tar` of a tar becomes the folder `<name>/` with that tar's members, as
    ILSVRC2012_img_train.tar needs it; the inner tars are never stored. Owners, permissions and
    times are not carried over. Of two files of one name the later stays, as with tar.

    Args:
        limit: most bytes that the files may have, both as declared and as really written.

    Raises:
        InputError: the archive is corrupt or truncated (a tar may end after any of its members,
            without zeros), exceeds `limit` or `MAX_MEMBERS`, or has a member that is a link or a
            special file, is both a file and a folder, or whose name leads out of `target`. Nothing
            is left behind then, and an older `target` stays. Links are refused even if they stay
            inside: no official archive has any.
    """
    with (
        atomic_folder(target) as folder,
        _told_of(archive, target),
        archive.open("rb") as file,
        reading(file, f"unpacking {archive.name}") as watched,
    ):
        _Unpacking(archive, limit).write(_members(watched), folder)


@contextmanager
def _told_of(archive: Path, target: Path) -> Iterator[None]:
    """Turn what the archive libraries and the file system raise into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (
        zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
        EOFError, RuntimeError, ValueError, struct.error,
    ) as error:  # fmt: skip
        raise InputError(f"{archive}: corrupt archive ({error}); replace it") from None
    except OSError as error:
        raise InputError(f"{archive}: cannot be unpacked as {target}: {explained(error)}") from None


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; `kind` tar is a file to be unpacked in turn."""

    name: str
    kind: Literal["file", "folder", "tar", "other"]
    declared_size: int
    open: Callable[[], IO[bytes] | None]


class _Unpacking:
    """Writes members below a folder and counts what they come to."""

    def __init__(self, archive: Path, limit: int) -> None:
        self._archive = archive
        self._limit = limit
        self._written = 0
        self._members = 0

    def write(self, members: Iterable[_Member], folder: Path) -> None:
        """Check each member, then write it below `folder`."""
        for member in members:
            self._check(member)
            path = folder / member.name
            try:
                self._write(member, path)
            except (FileExistsError, IsADirectoryError, NotADirectoryError):
                raise self._refusal(member, "is both a file and a folder") from None

    def _check(self, member: _Member) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise self._refusal(member, f"is one more than {MAX_MEMBERS:,} members")
        if fault := _fault(member):
            raise self._refusal(member, fault)
        if member.kind == "file":
            self._check_limit(member, member.declared_size)

    def _check_limit(self, member: _Member, more: int) -> None:
        if self._written + more > self._limit:
            raise self._refusal(member, f"unpacks to more than {self._limit:,} bytes in all")

    def _write(self, member: _Member, path: Path) -> None:
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
        elif content := member.open():
            with content:
                if member.kind == "tar":
                    self.write(_tar_members(content), path.with_suffix(""))
                else:
                    self._copy(member, content, path)

    def _copy(self, member: _Member, content: IO[bytes], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while chunk := content.read(_CHUNK):
                self._check_limit(member, len(chunk))
                self._written += len(chunk)
                file.write(chunk)

    def _refusal(self, member: _Member, fault: str) -> InputError:
        return InputError(
            f"{self._archive}: member {member.name!r} {fault}; refused: replace the archive"
        )


def _fault(member: _Member) -> str | None:
    """Why `member` must not be unpacked, whatever else the archive has; None if it may."""
    name = member.name
    if not name or PurePosixPath(name).is_absolute() or any(sign in name for sign in "\\:\0"):
        return "has an absolute or foreign name"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the folder"
    if member.kind == "other":
        return "is a link or a special file"
    if member.declared_size < 0:
        return "has a negative size"
    return None


def _members(file: IO[bytes]) -> Iterator[_Member]:
    """The members of an archive, in its order."""
    start = file.read(4)
    file.seek(0)
    if start in _ZIP:
        return _zip_members(file)
    if start.startswith(_GZIP):
        return _gzipped_tar_members(file)
    return _tar_members(file)


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as content:
        for info in content.infolist():
            # `filename` ends at a NUL, `orig_filename` shows it.
            name, open_ = info.orig_filename, partial(content.open, info)
            yield _Member(name, _zip_kind(info), info.file_size, open_)


def _zip_kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "other"]:
    mode = S_IFMT(info.external_attr >> 16)
    if mode not in (0, S_IFREG, S_IFDIR):
        return "other"
    return "folder" if mode == S_IFDIR or info.is_dir() else "file"


def _gzipped_tar_members(file: IO[bytes]) -> Iterator[_Member]:
    with gzip.GzipFile(fileobj=file) as stream:
        yield from _tar_members(stream)
        # Only at its end is the stream's checksum compared.
        if len(stream.read(MAX_HEADER + 1)) > MAX_HEADER:
            raise tarfile.ReadError("data after the end of the tar")


def _tar_members(file: IO[bytes] | gzip.GzipFile) -> Iterator[_Member]:
    with _Tar(fileobj=file) as content:
        while info := content.next():
            # TarFile would keep the headers of all members.
            content.members.clear()
            yield _Member(info.name, _tar_kind(info), info.size, partial(content.extractfile, info))


def _tar_kind(info: tarfile.TarInfo) -> Literal["file", "folder", "tar", "other"]:
    if info.isdir():
        return "folder"
    if not info.isreg():
        return "other"
    return "tar" if info.name.endswith(".tar") else "file"


class _Header(tarfile.TarInfo):
    """A header that tells the end of a tar, zeros or nothing more, from a damaged one.

    TarFile takes any header but the first that it cannot read for the end of the archive, and
    reads a name or an extended header of any size into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf or buf == bytes(tarfile.BLOCKSIZE):
                raise
            raise tarfile.ReadError(str(error)) from None
        if header.type not in tarfile.REGULAR_TYPES and header.size > MAX_HEADER:
            raise tarfile.ReadError(f"header of {header.size} bytes")
        return header


class _Tar(tarfile.TarFile):
    """An uncompressed tar, read from front to back."""

    tarinfo = _Header
    members: list[tarfile.TarInfo]

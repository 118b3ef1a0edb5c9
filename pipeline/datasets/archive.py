"""Unpacking an archive: verified, within bounds, all or nothing."""

import hashlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.folders import atomic_folder

MAX_UNPACKED_BYTES = 256 * 2**20


def unpack(archive: Path, target: Path, sha256: str) -> None:
    """Unpack the zip file `archive`, whose checksum must be `sha256`, as the folder `target`.

    Raises:
        InputError: the archive is missing, differs from its checksum, is corrupt, would unpack
            to more than `MAX_UNPACKED_BYTES`, or has a member that is a link or whose name leads
            out of `target`. Nothing is left behind then, and an older `target` stays.
    """
    _verify(archive, sha256)
    try:
        with zipfile.ZipFile(archive) as content, atomic_folder(target) as folder:
            _check_members(archive, content.infolist())
            content.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(f"{archive}: corrupt archive ({error}); restore it") from None


def _verify(archive: Path, sha256: str) -> None:
    """Compare the archive's checksum with the expected one."""
    try:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{archive}: not found; restore it (git checkout {archive})") from None
    if found != sha256:
        raise InputError(
            f"{archive}: sha256 is {found}, expected {sha256}; the file is corrupt or was changed: "
            f"restore it (git checkout {archive})"
        )


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive before any of it is written."""
    for member in members:
        if fault := _fault(member):
            raise InputError(f"{archive}: member {member.filename!r} {fault}; refused")
    total = sum(member.file_size for member in members)
    if total > MAX_UNPACKED_BYTES:
        raise InputError(f"{archive}: unpacks to {total} bytes, over {MAX_UNPACKED_BYTES}; refused")


def _fault(member: zipfile.ZipInfo) -> str | None:
    """Why `member` must not be unpacked; None if it may."""
    name = member.orig_filename
    if PurePosixPath(name).is_absolute() or "\\" in name or ":" in name or "\0" in name:
        return "has an absolute or foreign name"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    return None

"""Providing a data set: its official archives fetched, verified and unpacked once."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from pipeline.download.archives import Archive, Distribution
from pipeline.download.checksum import recorded
from pipeline.download.transfer import fetch, free_space
from pipeline.download.unpack import unpack
from pipeline.errors import InputError
from pipeline.files import write_json

MIRROR = "WSOL_MIRROR"
_COMPLETE = ".complete.json"
_PARTIAL = ".unpacked.json"
_STAGING = ".unpacking"


def provide(distribution: Distribution, root: Path) -> None:
    """Make `root` hold the unpacked data set; do nothing if it does.

    WSOL_MIRROR_<NAME> (e.g. WSOL_MIRROR_VOC2007), else WSOL_MIRROR, replaces the built-in mirrors:
    base URLs and local folders that have the archives, separated by white space. A folder with
    white space in its path is written as a file:// URL, the space as %20. An archive that the user
    has put into `root`/archives is used without any address.

    `root`/.complete.json records the archives and is written last; while it is there, nothing is
    fetched or verified again. A killed call is continued by the next one; of two at a time, the
    second waits. The downloaded archives stay in `root`/archives: deleting them afterwards gives
    back `download_size` bytes.

    Raises:
        InputError: no address for an archive, an archive that is not there or not the official
            one, too little disk space, or what `fetch` and `unpack` refuse. Parts that are
            complete stay.
    """
    if _is_complete(distribution, root):
        return
    with _locked(root):
        if not _is_complete(distribution, root):
            _fill(distribution, root)


def download_size(distribution: Distribution) -> int:
    """Bytes of all archives of `distribution`, as far as their sizes are known."""
    return sum(archive.size or 0 for archive in distribution.archives)


def disk_space(distribution: Distribution) -> int:
    """Bytes, at most, that `distribution` takes with its archives kept."""
    return download_size(distribution) + sum(a.unpacked_size for a in distribution.archives)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the lock of `root`, after saying so if another process has it."""
    lock = FileLock(root / ".lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{root}: waiting for the process that fills it", file=sys.stderr)
        lock.acquire()
    except OSError as error:
        raise InputError(f"{root}: cannot be written ({error}); name another folder") from None
    try:
        yield
    finally:
        lock.release()


def _is_complete(distribution: Distribution, root: Path) -> bool:
    record = _read(root / _COMPLETE)
    present = (root / distribution.contains).exists()
    return present and all(_is_unpacked(archive, record) for archive in distribution.archives)


def _is_unpacked(archive: Archive, record: dict[str, str]) -> bool:
    return archive.name in record and archive.checksum in ("", record[archive.name])


def _read(path: Path) -> dict[str, str]:
    """The recorded checksum of each unpacked archive; empty without the file."""
    if not path.is_file():
        return {}
    try:
        record: dict[str, str] = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    return record


def _fill(distribution: Distribution, root: Path) -> None:
    """Unpack the archives that are not, record each, and complete the record."""
    _forget_removed(distribution, root)
    record = _read(root / _COMPLETE) | _read(root / _PARTIAL)
    todo = [archive for archive in distribution.archives if not _is_unpacked(archive, record)]
    sources = {archive: _addresses(archive, distribution) for archive in todo}
    _check_reachable(distribution, sources, root)
    _sweep(root / _STAGING, {archive.name for archive in todo})
    needed = sum(_space_for(archive, addresses, root) for archive, addresses in sources.items())
    free_space(root, needed, distribution.name)
    for archive, addresses in sources.items():
        record[archive.name] = _install(archive, addresses, root)
        write_json(root / _PARTIAL, record)
    if not (root / distribution.contains).exists():
        raise InputError(
            f"{root}: has no {distribution.contains} after unpacking "
            f"{', '.join(archive.name for archive in distribution.archives)}; "
            f"delete {root / _PARTIAL} and give the official archives"
        )
    shutil.rmtree(root / _STAGING, ignore_errors=True)
    os.replace(root / _PARTIAL, root / _COMPLETE)


def _forget_removed(distribution: Distribution, root: Path) -> None:
    """Drop the records of data that was complete and is no longer there."""
    if (root / _COMPLETE).exists() and not (root / distribution.contains).exists():
        (root / _PARTIAL).unlink(missing_ok=True)
        (root / _COMPLETE).unlink()


def _variable(distribution: Distribution) -> str:
    return f"{MIRROR}_{distribution.name.upper()}"


def _addresses(archive: Archive, distribution: Distribution) -> list[str]:
    """Where to look for `archive`, in order; empty if only the user can say."""
    chosen = os.environ.get(_variable(distribution)) or os.environ.get(MIRROR, "")
    bases = chosen.split() or archive.mirrors
    return [f"{base.rstrip('/')}/{archive.name}" for base in bases]


def _local(address: str) -> Path | None:
    """The file at a local address; None for one on a server."""
    if address.startswith(("http://", "https://")):
        return None
    if address.startswith("file://"):
        return Path(url2pathname(urlsplit(address).path))
    return Path(address)


def _kept(archive: Archive, root: Path) -> Path:
    """Where a downloaded archive stays, and where the user may put one."""
    return root / "archives" / archive.name


def _check_reachable(
    distribution: Distribution, sources: dict[Archive, list[str]], root: Path
) -> None:
    """Raise InputError naming all archives that have no address or are not in a local folder."""
    absent = [archive for archive in sources if not _kept(archive, root).is_file()]
    if unaddressed := [archive for archive in absent if not sources[archive]]:
        raise InputError(
            f"{distribution.name}: {distribution.note}; put "
            f"{', '.join(map(_describe, unaddressed))} into one folder "
            f"and set {_variable(distribution)} to it"
        )
    places = {archive: [_local(address) for address in sources[archive]] for archive in absent}
    missing = [
        archive
        for archive, paths in places.items()
        if not any(path is None or path.is_file() for path in paths)
    ]
    if missing:
        folders = ", ".join(str(path.parent) for path in places[missing[0]] if path)
        raise InputError(
            f"{distribution.name}: {', '.join(map(_describe, missing))} not found in {folders}; "
            f"put the missing there or correct {_variable(distribution)}"
        )


def _describe(archive: Archive) -> str:
    """Name, size and checksum, as far as they are known."""
    size = f"{archive.size:,} bytes" if archive.size else ""
    known = ", ".join(filter(None, (size, archive.checksum)))
    return f"{archive.name} ({known})" if known else archive.name


def _sweep(staging: Path, whole: set[str]) -> None:
    """Remove what a killed call left half unpacked: all but the folders that may be whole."""
    for path in staging.glob("*"):
        if path.name not in whole:
            shutil.rmtree(path)


def _space_for(archive: Archive, addresses: list[str], root: Path) -> int:
    """Bytes that fetching and unpacking `archive` will still take."""
    unpacked = 0 if (root / _STAGING / archive.name).exists() else archive.unpacked_size
    return _still_to_download(archive, addresses, root) + unpacked


def _still_to_download(archive: Archive, addresses: list[str], root: Path) -> int:
    """Bytes of `archive` that are on no disk here, not even in an interrupted download."""
    kept = _kept(archive, root)
    if any(path.is_file() for path in (kept, *filter(None, map(_local, addresses)))):
        return 0
    part = kept.with_name(f"{kept.name}.part")
    return max(0, (archive.size or 0) - (part.stat().st_size if part.is_file() else 0))


def _install(archive: Archive, addresses: list[str], root: Path) -> str:
    """Fetch `archive`, unpack it below `root` and return its checksum.

    It is unpacked as a whole in the staging folder and then moved by renaming: what a kill leaves
    there is what is still to be moved.
    """
    kept = _kept(archive, root)
    path = fetch(addresses, kept, size=archive.size, checksum=archive.checksum)
    staged = root / _STAGING / archive.name
    if not staged.exists():
        print(f"{path}: unpacking", file=sys.stderr)
        unpack(path, staged, limit=archive.unpacked_size)
    _merge(staged, root / archive.folder)
    shutil.rmtree(staged)
    return archive.checksum or recorded(kept)


def _merge(source: Path, target: Path) -> None:
    """Move all in `source` into `target`; a folder that both have is merged in turn."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        destination = target / path.name
        if path.is_dir() and destination.is_dir():
            _merge(path, destination)
            continue
        try:
            os.replace(path, destination)
        except (IsADirectoryError, NotADirectoryError):
            raise InputError(f"{destination}: is in the way; move it elsewhere") from None

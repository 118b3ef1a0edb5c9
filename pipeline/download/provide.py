"""Providing a data set: its official archives fetched, verified and unpacked once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from pipeline.checksum import recorded
from pipeline.download.addresses import below, local_path
from pipeline.download.archives import Archive, Distribution
from pipeline.download.disk import free_space, writing
from pipeline.download.partial import Partial
from pipeline.download.transfer import fetch
from pipeline.download.unpack import unpack
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.progress import say

MIRROR = "WSOL_MIRROR"
_RECORD = ".unpacked.json"
_STAGING = ".unpacking"


def provide(distribution: Distribution, root: Path) -> None:
    """Make `root` hold the unpacked data set; do nothing if it does.

    WSOL_MIRROR_<NAME> (e.g. WSOL_MIRROR_VOC2007), else WSOL_MIRROR, replaces the built-in mirrors:
    base URLs and local folders that have the archives, separated by white space. A folder with
    white space in its path is written as a file:// URL, the space as %20. An archive that the user
    has put into `root`/archives is used without any address.

    `root`/.unpacked.json records each archive that is unpacked; while all are in it, nothing is
    fetched or verified again. A killed call is continued by the next one; of two at a time, the
    second waits. The downloaded archives stay in `root`/archives: deleting them afterwards gives
    back `download_size` bytes.

    Raises:
        InputError: no address for an archive, an archive that is not there or not the official
            one, too little disk space, a root that cannot be written, or what `fetch` and `unpack`
            refuse. Archives that are unpacked stay so.
    """
    with writing(root):
        if _to_unpack(distribution, root):
            with _locked(root):
                _fill(distribution, _to_unpack(distribution, root), root)


def download_size(distribution: Distribution) -> int:
    """Bytes of all archives of `distribution`, as far as their sizes are known."""
    return sum(archive.size or 0 for archive in distribution.archives)


def disk_space(distribution: Distribution) -> int:
    """Bytes, at most, that `distribution` takes with its archives kept."""
    return download_size(distribution) + sum(a.unpacked_size for a in distribution.archives)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the lock of `root`, after saying so if another process has it."""
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        say(f"{root}: waiting for the process that fills it")
        held = lock.acquire()
    with held:
        yield


def _to_unpack(distribution: Distribution, root: Path) -> list[Archive]:
    """The archives that are not unpacked, in order."""
    record = _read(root / _RECORD)
    return [archive for archive in distribution.archives if not _unpacked(archive, record, root)]


def _unpacked(archive: Archive, record: dict[str, str], root: Path) -> bool:
    same = archive.name in record and archive.checksum in ("", record[archive.name])
    return same and (root / archive.contains).exists()


def _read(path: Path) -> dict[str, str]:
    """The recorded checksum of each unpacked archive; empty without the file."""
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(path.read_bytes())
    except ValidationError:
        raise InputError(f"{path}: is no record of archives; delete it and run again") from None


def _fill(distribution: Distribution, todo: list[Archive], root: Path) -> None:
    """Fetch and unpack these archives, and record each."""
    sources = {archive: _addresses(archive, distribution) for archive in todo}
    _check_reachable(distribution, sources, root)
    names = {archive.name for archive in todo}
    _sweep(root / _STAGING, names)
    needed = sum(_space_for(archive, addresses, root) for archive, addresses in sources.items())
    free_space(root, needed, distribution.name)
    record = _forget(names, root)
    for archive, addresses in sources.items():
        record[archive.name] = _install(archive, addresses, root)
        write_json(root / _RECORD, record)
    shutil.rmtree(root / _STAGING, ignore_errors=True)


def _forget(names: set[str], root: Path) -> dict[str, str]:
    """Strike these from the record, before half of them is there again; return the rest."""
    kept = {name: checksum for name, checksum in _read(root / _RECORD).items() if name not in names}
    write_json(root / _RECORD, kept)
    return kept


def _variable(distribution: Distribution) -> str:
    """The variable that replaces the built-in mirrors of `distribution`, or could."""
    own = f"{MIRROR}_{distribution.name.upper()}"
    return MIRROR if _places(MIRROR) and not _places(own) else own


def _places(variable: str) -> list[str]:
    return os.environ.get(variable, "").split()


def _addresses(archive: Archive, distribution: Distribution) -> list[str]:
    """Where to look for `archive`, in order; empty if only the user can say."""
    return [
        below(base, archive.name) for base in _places(_variable(distribution)) or archive.mirrors
    ]


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
    places = {archive: [local_path(address) for address in sources[archive]] for archive in absent}
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
    if any(path.is_file() for path in (kept, *filter(None, map(local_path, addresses)))):
        return 0
    return max(0, (archive.size or 0) - Partial(kept).size)


def _install(archive: Archive, addresses: list[str], root: Path) -> str:
    """Fetch `archive`, unpack it below `root` and return its checksum.

    It is unpacked as a whole in the staging folder and then moved by renaming: what a kill leaves
    there is what is still to be moved.
    """
    kept = _kept(archive, root)
    path = fetch(addresses, kept, size=archive.size, checksum=archive.checksum)
    staged = root / _STAGING / archive.name
    if not staged.exists():
        say(f"{path}: unpacking")
        unpack(path, staged, limit=archive.unpacked_size)
    _merge(staged, root / archive.folder)
    shutil.rmtree(staged)
    if not (root / archive.contains).exists():
        raise InputError(
            f"{root}: has no {archive.contains} after unpacking {path}; replace that archive by "
            "the official one"
        )
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

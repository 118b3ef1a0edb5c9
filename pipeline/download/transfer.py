"""Fetching one large archive from the first of its addresses that works.

Interrupted, even by a kill, it goes on where it stopped: hence not pooch, which cannot resume.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from pipeline.download import resuming
from pipeline.download.checksum import CorruptFile, check_form, verify
from pipeline.download.disk import free_space, writing
from pipeline.download.expected import Expected
from pipeline.download.http import Unusable
from pipeline.download.partial import Partial
from pipeline.download.progress import say
from pipeline.errors import InputError

__all__ = ["fetch", "free_space", "verify"]


def fetch(
    addresses: Sequence[str], target: Path, *, size: int | None = None, checksum: str = ""
) -> Path:
    """Return the path of a verified copy of the file that the first working address serves.

    A local file is used where it is. One from a server becomes `target`, and is not fetched again
    while it is sound. Beside it are `.lock` (a second process waits), while it is incomplete
    `.part` and `.part.json`, and `.corrupt`, the last content that proved wrong.

    Args:
        addresses: http, https and file addresses, and local paths, in the order to try them.
        size: bytes, compared with what a server announces before it sends them.
        checksum: "md5:<hex>" or "sha256:<hex>". "": the sha256 of the first download is recorded
            in `target` + `.sha256`, and the file compared with that from then on.

    Raises:
        InputError: no address works (with the reason for each), the disk is full or cannot be
            written, an address or the checksum is malformed.
    """
    places = [(address, _local(address)) for address in addresses]
    if checksum:
        check_form(checksum)
    expected = Expected(target, size, checksum)
    with _alone(target):
        if target.exists() and _sound(expected):
            return target
        return _first_working(places, expected)


def _local(address: str) -> Path | None:
    """The path that an address means; None if it is a server's."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise InputError(f"{address}: {error}; correct the address") from None
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    if parts.scheme or not address:
        raise InputError(
            f"{address!r} is no http, https or file address, nor a local path; correct it "
            "(WSOL_MIRROR, if it is from there)"
        )
    return Path(address)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other processes from fetching `target`; wait for one that does."""
    lock = FileLock(f"{target}.lock")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{target}: another process is fetching it; waiting")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sound(expected: Expected) -> bool:
    """Whether the target is what it must be; it is moved aside if not."""
    try:
        expected.check(expected.target)
    except CorruptFile as error:
        say(f"{error}; kept as {expected.set_aside(expected.target)}, fetching it again")
        return False
    return True


def _first_working(places: list[tuple[str, Path | None]], expected: Expected) -> Path:
    """Try the places in order; one error with all their faults if none is left."""
    faults = []
    for address, local in places:
        try:
            return _in_place(local, expected) if local else _downloaded(address, expected)
        except Unusable as fault:
            faults.append(f"\n  {address}: {fault}")
            say(f"{expected.target.name}: not from {address}: {fault}")
    raise InputError(
        f"{expected.target}: cannot be fetched; set WSOL_MIRROR to another address, or to a local "
        f"folder that contains {expected.target.name}. Tried: {''.join(faults) or 'no address'}"
    )


def _in_place(path: Path, expected: Expected) -> Path:
    """Check a file that the user keeps elsewhere, and leave it there."""
    if not path.is_file():
        raise Unusable("there is no such file")
    try:
        expected.check(path)
    except InputError as error:
        raise Unusable(f"{error}") from None
    return path


def _downloaded(address: str, expected: Expected) -> Path:
    """Bring the target from a server; content that proves wrong is moved aside."""
    partial = Partial(expected.target)
    inherited = partial.size
    resuming.complete(partial, address, expected)
    try:
        expected.check(partial.path)
    except CorruptFile as error:
        fault = f"{error}; kept as {expected.set_aside(partial.path)}"
        partial.discard()
        if not inherited:
            raise Unusable(fault) from None
        # The fault may be in the part that an earlier run, or another address, left.
        say(f"{fault}; its beginning was left by an earlier try, fetching it whole")
        return _downloaded(address, expected)
    partial.promote()
    return expected.target

"""Fetching one large archive from the first of its addresses that works.

Interrupted, even by a kill, it goes on where it stopped: hence not pooch, which cannot resume.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.checksum import CorruptFile
from pipeline.download import resuming
from pipeline.download.addresses import local_path, shown
from pipeline.download.disk import writing
from pipeline.download.expected import Expected
from pipeline.download.http import Unusable
from pipeline.download.partial import Partial
from pipeline.errors import InputError
from pipeline.progress import say


def fetch(
    addresses: Sequence[str], target: Path, *, size: int | None = None, checksum: str = ""
) -> Path:
    """Return the path of a verified copy of the file that the first working address serves.

    A local file is used where it is. One from a server becomes `target`, and is not fetched again
    while it is sound. Beside it are, while it is incomplete, `.part` and `.part.json`, and
    `.corrupt`, the last content that proved wrong. The caller sees to it that no other process
    fetches the same target.

    Args:
        addresses: http, https and file addresses, and local paths, in the order to try them.
        size: bytes, compared with what a server announces before it sends them.
        checksum: "md5:<hex>" or "sha256:<hex>". "": the sha256 of the first download is recorded
            in `target` + `.sha256`, and the file compared with that from then on.

    Raises:
        InputError: no address works (with the reason for each), the disk is full or cannot be
            written, an address or the checksum is malformed.
    """
    places = [(address, local_path(address)) for address in addresses]
    expected = Expected(target, size, checksum)
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and _sound(expected):
            return target
        return _first_working(places, expected)


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
    faults: list[str] = []
    for address, local in places:
        if faults:
            say(f"{faults[-1]}; trying {shown(address)}")
        try:
            return _in_place(local, expected) if local else _downloaded(address, expected)
        except Unusable as fault:
            faults.append(f"{shown(address)}: {fault}")
    tried = "".join(f"\n  {fault}" for fault in faults) or "no address"
    raise InputError(
        f"{expected.target}: cannot be fetched; put it there by hand, or set "
        "WSOL_MIRROR_<DATA SET> to another address, or to a local folder that contains it. "
        f"Tried: {tried}"
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

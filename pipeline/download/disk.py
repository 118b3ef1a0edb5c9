"""Room on the disk, asked for beforehand and missed while writing."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def free_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse, with an InputError, what needs more than the `needed` bytes free for `folder`.

    The folder need not exist yet: the disk is that of its nearest existing parent.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(
            f"{folder}: {purpose} needs {tqdm.format_sizeof(needed, 'B')}, but only "
            f"{tqdm.format_sizeof(free, 'B')} are free; free some, or let WSOL_DATA name a folder "
            "on another disk"
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to fill `folder` into an InputError that names it and the remedy."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot be filled: {explained(error)}") from None


def explained(error: OSError) -> str:
    """What is wrong with the disk, or with a file on it, and the remedy."""
    if error.errno in _FULL:
        return (
            "the disk is full, or the quota used up; free some space and run again: "
            "what has been downloaded stays, and is gone on from"
        )
    return f"{error}; check that path and its permissions (WSOL_DATA names the folder of downloads)"

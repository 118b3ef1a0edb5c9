"""Room on the disk for downloads, asked for beforehand and missed while writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.disk import FULL, require_room
from pipeline.errors import InputError


def free_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse, with an InputError, what needs more than the `needed` bytes free for `folder`."""
    require_room(folder, needed, purpose, ", or let WSOL_DATA name a folder on another disk")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to fill `folder` into an InputError that names it and the remedy."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot be filled: {explained(error)}") from None


def explained(error: OSError) -> str:
    """What is wrong with the disk, or with a file on it, and the remedy."""
    if error.errno in FULL:
        return (
            "the disk is full, or the quota used up; free some space and run again: "
            "what has been downloaded stays, and is gone on from"
        )
    return f"{error}; check that path and its permissions (WSOL_DATA names the folder of downloads)"

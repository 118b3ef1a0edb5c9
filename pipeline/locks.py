"""Locks between processes; the system frees them when the holder and its children have ended."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock file `path`, which stays behind: removing it would let two processes in.

    Args:
        work: what the holder does, for the message.

    Raises:
        InputError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: another process runs {work}; wait for it or end it"
            ) from None
        yield


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold the lock file `path` as soon as those that came before have let it go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

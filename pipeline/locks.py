"""Locks between processes; the system frees them when the holder and its children have ended."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TextIO

from pipeline.disk import refusals_told
from pipeline.errors import InputError

PATIENCE = 10.0
"""Seconds that the processes of a killed one need at most until they notice and are gone."""

_kept: list[TextIO] = []
"""What is held to the end: a file that is closed is free."""


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock file `path`, which stays behind: removing it would let two processes in.

    It names its holder.

    Args:
        work: what the holder does, for the message.

    Raises:
        InputError: another process holds it, and still does so after `PATIENCE`.
    """
    with _opened(path) as lock:
        last = monotonic() + PATIENCE
        while not _taken(lock):
            if monotonic() > last:
                lock.seek(0)
                holder = lock.read().strip()
                raise InputError(
                    f"{path}: another process runs {work}; wait for it or end it ({holder})"
                )
            sleep(0.1)
        lock.truncate(0)
        print(f"process {os.getpid()} on {os.uname().nodename}", file=lock, flush=True)
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def taken(path: Path) -> bool:
    """Take the lock file `path` until this process and its children have ended, if it is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a+")
    if not _taken(lock):
        lock.close()
        return False
    _kept.append(lock)
    return True


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold the lock file `path` as soon as those that came before have let it go."""
    with _opened(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> TextIO:
    with refusals_told(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")

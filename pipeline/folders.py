"""Writing folders so that a killed process leaves the old folder or the new one, never a half."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.disk import refusals_told


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling folder of `path`; it replaces `path` on success.

    On an exception the temporary folder is removed and `path` stays as it was. What a killed
    process of this machine left beside `path` is put right by the next call.

    Raises:
        InputError: the disk is full (NoRoom), or the parent cannot be written.
    """
    temporary, old = _siblings(path, os.getpid())
    with refusals_told(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A container may give this process the number of one that was killed.
        for process in {*_left(path), os.getpid()}:
            _put_right(path, process)
        temporary.mkdir()
    try:
        with refusals_told(path, temporary):
            yield temporary
            if path.exists():
                path.rename(old)
            temporary.rename(path)
    finally:
        _put_right(path, os.getpid())


def _siblings(path: Path, process: int) -> tuple[Path, Path]:
    """Where a process writes the new folder, and where it puts the old one meanwhile."""
    new, old = (path.with_name(f".{path.name}.{process}.{end}") for end in ("part", "old"))
    return new, old


def _left(path: Path) -> set[int]:
    """The processes that are gone and have left a sibling of `path`."""
    siblings = path.parent.glob(f".{glob.escape(path.name)}.*.*")
    numbers = {sibling.name.split(".")[-2] for sibling in siblings}
    return {int(n) for n in numbers if n.isdecimal() and not Path("/proc", n).exists()}


def _put_right(path: Path, process: int) -> None:
    """Put the old folder back unless a new one took its place; remove what else is left."""
    temporary, old = _siblings(path, process)
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)

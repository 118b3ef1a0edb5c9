"""What lies outside the repository, in few words: they change with the content, not the place."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.errors import InputError


class Inventory(BaseModel):
    """What was found in a place.

    Attributes:
        files: how many.
        content: sha256 of their names and contents.
        state: sha256 of their names, sizes and times of change. While it stays the same, nothing
            is read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: int
    content: str
    state: str


def inventory(root: Path, parts: tuple[Path, ...], before: Inventory | None = None) -> Inventory:
    """Take stock of these files and folders of `root`, links followed; one may be missing.

    Args:
        before: what was found the last time; returned if no name, size or time differs.

    Raises:
        InputError: a file or folder that cannot be read.
    """
    try:
        count, state = _hashed(
            f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n" for name, info in _files(root, parts)
        )
        if before and before.state == state:
            return before
        _, content = _hashed(f"{name}\0{_sha256(root / name)}\n" for name, _ in _files(root, parts))
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
        ) from None
    return Inventory(files=count, content=content, state=state)


def _hashed(lines: Iterable[str]) -> tuple[int, str]:
    """How many lines there are, and their sha256."""
    count, digest = 0, hashlib.sha256()
    for line in lines:
        count += 1
        digest.update(os.fsencode(line))
    return count, digest.hexdigest()


def _files(root: Path, parts: Iterable[Path]) -> Iterator[tuple[str, os.stat_result]]:
    """Name below `root` and state of each file in `parts`, in a fixed order."""
    for path in parts:
        if (root / path).is_dir():
            yield from _below(root, path.as_posix())
        elif (root / path).exists():
            yield path.as_posix(), (root / path).stat()


def _below(root: Path, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Name below `root` and state of each file below one of its folders."""
    with os.scandir(root / folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = f"{folder}/{entry.name}"
        if entry.is_dir():
            yield from _below(root, name)
        elif entry.is_file():
            yield name, entry.stat()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Room on the disk, asked for beforehand and missed while writing; folders that refuse."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class NoRoom(InputError):
    """The disk is full, or the quota used up."""


def require_room(folder: Path, needed: int, purpose: str, otherwise: str = "") -> None:
    """Raise NoRoom for what needs more than the bytes free for `folder`.

    The folder need not exist yet: the disk is that of its nearest existing parent.

    Args:
        needed: bytes.
        purpose, otherwise: what needs them, and another remedy than to free some.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise NoRoom(
            f"{folder}: {purpose} needs {tqdm.format_sizeof(needed, 'B')}, but only "
            f"{tqdm.format_sizeof(free, 'B')} are free; free some{otherwise}"
        )


@contextmanager
def refusals_told(path: Path, temporary: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path`, by way of `temporary`, into an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise no_room(path, temporary) from None
        if error.errno in _REFUSED and _inside(error.filename, path.parent):
            raise InputError(
                f"{path.parent}: cannot be written ({error.strerror}); make it writable and run it "
                "again"
            ) from None
        raise


def no_room(path: Path, temporary: Path) -> NoRoom:
    """Return the error of a disk that was full when this much of `path` was written."""
    files = temporary.rglob("*") if temporary.is_dir() else [temporary]
    written = sum(file.stat().st_size for file in files if file.is_file())
    return NoRoom(
        f"{path.parent}: no space left for {path.name}, which needs more than the "
        f"{tqdm.format_sizeof(written, 'B')} that were written; make room and run it again"
    )


def _inside(name: str | bytes | None, folder: Path) -> bool:
    """Whether an error is about the folder, or something in it; pyarrow does not tell."""
    return name is None or str(name).startswith(str(folder))

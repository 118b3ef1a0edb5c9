"""What a user sees of a transfer, on stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper


def say(message: str) -> None:
    """Print a line without breaking a progress bar."""
    tqdm.write(message, file=sys.stderr)


def bar(name: str, done: int, total: int | None) -> tqdm:
    """Return a bar of bytes that starts at `done`; silent unless stderr is a terminal."""
    return tqdm(
        desc=name, initial=done, total=total, unit="B", unit_scale=True, miniters=1, disable=None
    )


@contextmanager
def reading(file: BinaryIO, name: str) -> Iterator[IO[bytes]]:
    """Yield `file` with a bar of where reading has come to."""
    with bar(name, 0, os.fstat(file.fileno()).st_size) as progress:
        # The place and not the sum, since the directory at the end of a zip is read first.
        yield CallbackIOWrapper(lambda _: progress.update(file.tell() - progress.n), file, "read")

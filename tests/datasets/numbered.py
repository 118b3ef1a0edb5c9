"""A data set of numbered records, whose readers can be watched, held up and made to fail."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record, Split

Reader = Callable[[Sequence[int]], Iterator[Record]]
CLASSES = ("a", "b", "c")


def png(value: int) -> bytes:
    """A grey 9 x 7 picture."""
    buffer = BytesIO()
    Image.new("L", (9, 7), value).save(buffer, "PNG")
    return buffer.getvalue()


def numbered(number: int, objects: int = 2, mask: bool = True) -> Record:
    """Record `number`, with at most two objects."""
    return Record(
        id=f"image {number}",
        image=png(number % 256),
        width=9,
        height=7,
        labels=(0, 2)[:objects],
        boxes_xyxy=np.array([[0, 0, 3, 2.5], [1, 1, 9, 7]], dtype=np.float32)[:objects],
        box_labels=np.array([0, 2], dtype=np.int64)[:objects],
        difficult=np.array([False, True])[:objects],
        truncated=np.array([True, False])[:objects] if number % 2 == 0 else None,
        mask=png(1) if mask else None,
    )


def plain(numbers: Sequence[int]) -> Iterator[Record]:
    """The records of these numbers."""
    return map(numbered, numbers)


def watched(folder: Path, numbers: Sequence[int]) -> Iterator[Record]:
    """The same; each call adds its first number to the file `calls`.

    The call whose first number stands in the file `hold` waits before its first record.
    """
    with (folder / "calls").open("a") as calls:
        calls.write(f"{numbers[0]}\n")
    hold = folder / "hold"
    while hold.exists() and hold.read_text() == str(numbers[0]):
        time.sleep(0.01)
    yield from plain(numbers)


def calls(folder: Path) -> list[int]:
    """The first numbers of the calls of `watched` so far."""
    path = folder / "calls"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def bad(number: int, numbers: Sequence[int]) -> Iterator[Record]:
    """The records until `number`, which cannot be read."""
    for each in numbers:
        if each == number:
            raise InputError(f"image {number}.jpg: unreadable image; restore the file")
        yield numbered(each)


def killing(number: int, numbers: Sequence[int]) -> Iterator[Record]:
    """The records until `number`, at which the process is killed."""
    for each in numbers:
        if each == number:
            os.kill(os.getpid(), signal.SIGKILL)
        yield numbered(each)


def failing(error: OSError, numbers: Sequence[int]) -> Iterator[Record]:
    """No record, but `error`."""
    raise error
    yield


def one_less(numbers: Sequence[int]) -> Iterator[Record]:
    """Forgets the last record."""
    return plain(numbers[:-1])


def dataset(reader: Reader = plain, **splits: int) -> Dataset:
    """A data set with so many records in each split, numbered from 0."""
    made = {name: Split(reader, range(count)) for name, count in splits.items()}
    return Dataset("shapes", "multi", CLASSES, made)


def watched_in(folder: Path) -> Reader:
    """`watched`, for other processes too."""
    return partial(watched, folder)

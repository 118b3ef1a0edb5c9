"""The packed store: a folder per split with its records in shards and an index of them."""

import hashlib
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any, overload

from pydantic import BaseModel, ValidationError

from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.packed.record import Record, Task
from pipeline.packed.shards import Shard, ShardReader

_INDEX = "index.json"
_OPEN_SHARDS = 16


class Index(BaseModel, frozen=True, extra="forbid"):
    """The content of index.json: whose split it is, and its shards in the order of the records.

    `skipped` says of each image that was left out why it could not be read.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    split: str
    shards: tuple[Shard, ...]
    short_side: int | None = None
    skipped: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write the index of the shards in `folder`: the last step of packing a split."""
        nothing = set() if self.skipped else {"skipped"}
        write_json(folder / _INDEX, self.model_dump(exclude=nothing))


class PackedSplit(Sequence[Record]):
    """The records of one packed split; each is read when it is asked for, from a memory map.

    Opening it looks at the index and at the sizes of the shards alone. Cheap to send to another
    process, where it is opened anew; may be used on both sides of a fork.

    Attributes:
        name, task, classes, short_side: those of the data set.
        split: `train`, `val` or `test`.
        skipped: of each image that was left out, why it could not be read.
        digest: a hash of the index, and so of all records.
        total: how many records the split has.
        rows: which of them these are: all, unless it is a `part`.

    Raises:
        InputError: the folder, its index or a shard is missing, foreign or truncated.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    short_side: int | None
    split: str
    skipped: tuple[str, ...]
    digest: str
    total: int
    rows: range

    def __init__(self, folder: Path) -> None:
        index, self.digest = _read_index(folder / _INDEX)
        for shard in index.shards:
            shard.check(folder)
        self.name, self.task, self.classes = index.name, index.task, index.classes
        self.split, self.short_side = index.split, index.short_side
        self.skipped = index.skipped
        self._folder, self._shards = folder, index.shards
        self._ends = list(accumulate(shard.rows for shard in index.shards))
        self._reader = lru_cache(_OPEN_SHARDS)(self._open)
        self.total = self._ends[-1] if self._ends else 0
        self.rows = range(self.total)

    def part(self, rows: range) -> "PackedSplit":
        """Return the records of some rows alone."""
        return _part(self._folder, self.rows[rows.start : rows.stop : rows.step])

    def __reduce__(self) -> tuple[Callable[[Path, range], "PackedSplit"], tuple[Path, range]]:
        return _part, (self._folder, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = self.rows[operator.index(index)]
        number = bisect_right(self._ends, position)
        first = self._ends[number] - self._shards[number].rows
        return self._reader(number).read(position - first)

    def columns(self, *names: str) -> Iterator[dict[str, Any]]:
        """Yield some fields of each record in turn, as lists and numbers, and read no others."""
        shards = (self._reader(number).columns(names) for number in range(len(self._shards)))
        rows = self.rows
        yield from islice(chain.from_iterable(shards), rows.start, rows.stop, rows.step)

    def _open(self, number: int) -> ShardReader:
        shard = self._shards[number]
        return ShardReader(self._folder / shard.file, shard.rows)


def _part(folder: Path, rows: range) -> PackedSplit:
    found = PackedSplit(folder)
    found.rows = rows
    return found


def _read_index(path: Path) -> tuple[Index, str]:
    """Return the index and the hash of its file."""
    try:
        content = path.read_bytes()
        return Index.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: not found; run `dvc repro preprocess`") from None
    except ValidationError:
        raise InputError(
            f"{path}: not the index of a packed split; run `dvc repro preprocess`"
        ) from None

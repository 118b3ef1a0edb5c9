"""Scored boxes of one method on one data set, in one Arrow file read by memory map.

A batch holds rows of one split alone, so that a row of a split is found by counting its batches.
"""

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import atomic_path

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("boxes_xyxy", pa.list_(pa.list_(pa.float32(), 4))),
        ("scores", pa.list_(pa.float32())),
    ]
)
_BATCH = 64


@dataclass(frozen=True)
class Proposals:
    """The boxes that a method gives for one image; there may be none.

    Of proposals of any class the best is first; a detector gives one box for each class, in their
    order.

    Attributes:
        boxes_xyxy: (n, 4) float32, half-open [x0, y0, x1, y1) in pixels of the original picture.
        scores: (n,) float32, at least 0.
    """

    id: str
    split: str
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]


def write_proposals(path: Path, proposals: Iterable[Proposals]) -> None:
    """Write `proposals` to `path`, a few at a time; the same proposals give the same bytes."""
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), _SCHEMA) as writer:
        for _, group in groupby(proposals, key=lambda each: each.split):
            while rows := list(islice(group, _BATCH)):
                writer.write_batch(_batch(rows))


class StoredProposals(Sequence[Proposals]):
    """The proposals of one split, in the order of its records, each read when it is asked for.

    Cheap to send to another process, where it is opened anew; may be used on both sides of a fork.

    Raises:
        InputError: `path` is missing or no such file.
    """

    def __init__(self, path: Path, split: str) -> None:
        self._path, self._split = path, split
        if not path.exists():
            raise InputError(f"{path}: not found; run `dvc repro --glob 'evaluate_*'`")
        try:
            # No threads: a reader made before a fork is used after it.
            options = pa.ipc.IpcReadOptions(use_threads=False)
            self._file = pa.ipc.open_file(pa.memory_map(str(path)), options=options)
            sizes = self._sizes()
        except (pa.ArrowException, OSError):
            raise self._foreign() from None
        self._batches, self._ends = list(sizes), list(accumulate(sizes.values()))

    def _sizes(self) -> dict[int, int]:
        """Number of rows of each batch of the split, by its place in the file."""
        if self._file.schema != _SCHEMA:
            raise self._foreign()
        batches = map(self._file.get_batch, range(self._file.num_record_batches))
        own = (pair for pair in enumerate(batches) if pair[1]["split"][0].as_py() == self._split)
        return {number: len(batch) for number, batch in own}

    def __reduce__(self) -> tuple[Callable[[Path, str], "StoredProposals"], tuple[Path, str]]:
        return StoredProposals, (self._path, self._split)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Proposals]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Proposals: ...
    @overload
    def __getitem__(self, index: slice) -> list[Proposals]: ...
    def __getitem__(self, index: int | slice) -> Proposals | list[Proposals]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[operator.index(index)]
        place = bisect_right(self._ends, position)
        batch = self._file.get_batch(self._batches[place])
        return _proposals(batch, position - self._ends[place] + len(batch))

    def _foreign(self) -> InputError:
        return InputError(
            f"{self._path}: damaged, or no file of proposals; "
            "run `dvc repro -f --glob 'evaluate_*'`"
        )


def _batch(rows: Sequence[Proposals]) -> pa.RecordBatch:
    """The rows as Arrow columns, without a Python object for each number."""
    ends = np.cumsum([0, *(len(row.scores) for row in rows)], dtype=np.int32)
    boxes = np.concatenate([row.boxes_xyxy for row in rows]).astype(np.float32, copy=False)
    scores = np.concatenate([row.scores for row in rows]).astype(np.float32, copy=False)
    quadruples = pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4)
    columns = [
        pa.array([row.id for row in rows]),
        pa.array([row.split for row in rows]),
        pa.ListArray.from_arrays(pa.array(ends), quadruples),
        pa.ListArray.from_arrays(pa.array(ends), pa.array(scores)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _proposals(batch: pa.RecordBatch, row: int) -> Proposals:
    boxes, scores = batch["boxes_xyxy"][row].values, batch["scores"][row].values
    return Proposals(
        id=batch["id"][row].as_py(),
        split=batch["split"][row].as_py(),
        # Copies: a view of the memory map is read-only, which torch.from_numpy does not take.
        boxes_xyxy=boxes.flatten().to_numpy(zero_copy_only=True).reshape(-1, 4).copy(),
        scores=scores.to_numpy(zero_copy_only=True).copy(),
    )

"""The packed store: one Arrow IPC file per split, read by memory map."""

import json
import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from pipeline.datasets.record import Dataset, Record, Task
from pipeline.errors import InputError
from pipeline.files import atomic_path

_BATCH = 64
_FIELDS = [
    pa.field("id", pa.string()),
    pa.field("image", pa.binary()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("labels", pa.list_(pa.int64())),
    pa.field("boxes_xyxy", pa.list_(pa.list_(pa.float32(), 4))),
    pa.field("box_labels", pa.list_(pa.int64())),
    pa.field("difficult", pa.list_(pa.bool_())),
    pa.field("mask", pa.binary()),
]


def write_split(path: Path, dataset: Dataset, split: str) -> int:
    """Write the records of one split to `path`, a few at a time; return their number.

    The same records give the same bytes.

    Raises:
        InputError: the split has no record, or a record cannot be made; `path` is not touched.
    """
    description = json.dumps([dataset.name, dataset.task, dataset.classes, split])
    schema = pa.schema(_FIELDS, metadata={"packed_split": description})
    records = iter(dataset.splits[split])
    count = 0
    with atomic_path(path) as temporary:
        with pa.ipc.new_file(str(temporary), schema) as writer:
            while rows := [_row(record) for record in islice(records, _BATCH)]:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
                count += len(rows)
        if count == 0:
            raise InputError(
                f"{dataset.name}: split {split!r} is empty; check the lists of images and data.*"
            )
    return count


def _row(record: Record) -> dict[str, Any]:
    """The columns of one record."""
    return {
        **vars(record),
        "boxes_xyxy": record.boxes_xyxy.tolist(),
        "box_labels": record.box_labels.tolist(),
        "difficult": record.difficult.tolist(),
    }


class PackedSplit(Sequence[Record]):
    """The records of one packed file; each is read when it is asked for.

    Cheap to send to another process: it pickles as its path.

    Attributes:
        name, task, classes: those of the data set.
        split: `train`, `val` or `test`.

    Raises:
        InputError: the file is missing or is no packed split.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    split: str

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            description = json.loads(self._table.schema.metadata[b"packed_split"])
        except FileNotFoundError:
            raise InputError(f"{path}: not found; run `dvc repro preprocess`") from None
        except (pa.ArrowInvalid, OSError, KeyError, TypeError):
            raise InputError(f"{path}: not a packed split; run `dvc repro preprocess`") from None
        self.name, self.task, classes, self.split = description
        self.classes = tuple(classes)

    def __reduce__(self) -> tuple[Callable[[Path], "PackedSplit"], tuple[Path]]:
        return PackedSplit, (self._path,)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[operator.index(index)]
        return _record(self._table.slice(position, 1).to_pylist()[0])


def _record(row: dict[str, Any]) -> Record:
    """The record that `_row` was made from."""
    return Record(
        **{
            **row,
            "labels": tuple(row["labels"]),
            "boxes_xyxy": np.array(row["boxes_xyxy"], dtype=np.float32).reshape(-1, 4),
            "box_labels": np.array(row["box_labels"], dtype=np.int64),
            "difficult": np.array(row["difficult"], dtype=bool),
        }
    )

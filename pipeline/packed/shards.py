"""Shards: Arrow IPC files of bounded size that hold the records of a packed split in order.

A shard is a row of batches of 64 records, the last one shorter, so that the batch of any record is
known from its row alone.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.packed.record import Record

LIMIT = 512_000_000
"""Bytes that no shard exceeds."""
_BATCH = 64
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("labels", pa.list_(pa.int64())),
        ("boxes_xyxy", pa.list_(pa.list_(pa.float32(), 4))),
        ("box_labels", pa.list_(pa.int64())),
        ("difficult", pa.list_(pa.bool_())),
        ("truncated", pa.list_(pa.bool_())),
        ("mask", pa.binary()),
    ]
)
# More than Arrow adds to a record, even to one alone in its shard, and to one object of it.
_FRAMING, _PER_OBJECT = 4096, 64


class Shard(BaseModel, frozen=True, extra="forbid", strict=True):
    """What a shard's writer says of it: file name, number of records, size in bytes, checksum."""

    file: str
    rows: int
    bytes: int
    sha256: str

    def check(self, folder: Path) -> None:
        """Raise InputError unless its file lies in `folder` and has its size."""
        path = folder / self.file
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise InputError(f"{path}: not found; run `dvc repro preprocess`") from None
        if size != self.bytes:
            raise InputError(
                f"{path}: has {size} bytes instead of {self.bytes}; run `dvc repro preprocess`"
            )


def write_shards(folder: Path, stem: str, records: Iterable[Record]) -> list[Shard]:
    """Write `records`, a few at a time, to <stem>.arrow, <stem>_001.arrow and so on in `folder`.

    A new shard begins where the next record could exceed `LIMIT`. The same records give the same
    bytes.

    Raises:
        InputError: a record is larger than a shard.
    """
    return [
        _write(folder / (f"{stem}_{number:03}.arrow" if number else f"{stem}.arrow"), group)
        for number, group in groupby(records, key=_Numbering())
    ]


class _Numbering:
    """Says for one record after the other in which shard it goes."""

    def __init__(self) -> None:
        self.number = self.used = 0

    def __call__(self, record: Record) -> int:
        size = _bound(record)
        if size > LIMIT:
            raise InputError(
                f"image {record.id}: takes {size} bytes, and a shard of packed images holds "
                f"{LIMIT}; make the file smaller or leave it out"
            )
        if self.used + size > LIMIT:
            self.number, self.used = self.number + 1, 0
        self.used += size
        return self.number


def _bound(record: Record) -> int:
    """Return more bytes than `record` takes in a shard."""
    content = len(record.id.encode()) + len(record.image) + len(record.mask or b"")
    objects = len(record.labels) + len(record.box_labels)
    return content + _PER_OBJECT * objects + _FRAMING


def _write(path: Path, records: Iterable[Record]) -> Shard:
    """Write one shard."""
    rows = map(_row, records)
    count = 0
    with atomic_path(path) as temporary:
        with pa.ipc.new_file(str(temporary), _SCHEMA) as writer:
            while batch := list(islice(rows, _BATCH)):
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=_SCHEMA))
                count += len(batch)
        size = temporary.stat().st_size
        with temporary.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Shard(file=path.name, rows=count, bytes=size, sha256=sha256)


def _row(record: Record) -> dict[str, Any]:
    """The columns of one record."""
    return {
        **vars(record),
        "boxes_xyxy": record.boxes_xyxy.tolist(),
        "box_labels": record.box_labels.tolist(),
        "difficult": record.difficult.tolist(),
        "truncated": None if record.truncated is None else record.truncated.tolist(),
    }


class ShardReader:
    """The records of one shard, by memory map: a record is read without those beside it.

    Raises:
        InputError: the file is no shard of `rows` records.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self._path = path
        try:
            # No threads: a reader made before a fork is used after it.
            options = pa.ipc.IpcReadOptions(use_threads=False)
            self._file = pa.ipc.open_file(pa.memory_map(str(path)), options=options)
        except (pa.ArrowException, OSError):
            raise self._foreign() from None
        if self._file.schema != _SCHEMA or self._file.num_record_batches != -(-rows // _BATCH):
            raise self._foreign()

    def read(self, row: int) -> Record:
        """Return the record of `row`, which counts from 0.

        Raises:
            InputError: the shard is damaged there.
        """
        try:
            batch = self._file.get_batch(row // _BATCH)
            (columns,) = batch.slice(row % _BATCH, 1).to_pylist()
        except (pa.ArrowException, OSError, ValueError):
            raise self._foreign() from None
        return _record(columns)

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield some columns of each record in turn; the others are not read.

        Raises:
            InputError: the shard is damaged.
        """
        try:
            for number in range(self._file.num_record_batches):
                yield from self._file.get_batch(number).select(names).to_pylist()
        except (pa.ArrowException, OSError, ValueError):
            raise self._foreign() from None

    def _foreign(self) -> InputError:
        return InputError(
            f"{self._path}: damaged, or no shard of this packed split; run `dvc repro preprocess`"
        )


def _record(row: dict[str, Any]) -> Record:
    """The record that `_row` was made from."""
    truncated = row["truncated"]
    return Record(
        **{
            **row,
            "labels": tuple(row["labels"]),
            "boxes_xyxy": np.array(row["boxes_xyxy"], dtype=np.float32).reshape(-1, 4),
            "box_labels": np.array(row["box_labels"], dtype=np.int64),
            "difficult": np.array(row["difficult"], dtype=bool),
            "truncated": None if truncated is None else np.array(truncated, dtype=bool),
        }
    )

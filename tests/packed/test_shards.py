"""Shards give back what was written, stay below their limit, and are refused when damaged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.packed import shards
from pipeline.packed.record import Record
from pipeline.packed.shards import Shard, ShardReader, write_shards
from tests.datasets.numbered import numbered


def read(folder: Path, written: list[Shard]) -> list[Record]:
    readers = [(ShardReader(folder / shard.file, shard.rows), shard.rows) for shard in written]
    return [reader.read(row) for reader, rows in readers for row in range(rows)]


def assert_same(left: Record, right: Record) -> None:
    for name, value in vars(right).items():
        found = getattr(left, name)
        if isinstance(value, np.ndarray):
            assert found.dtype == value.dtype
            assert found.shape == value.shape
            assert (found == value).all()
        else:
            assert found == value


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = [numbered(0), numbered(1, objects=0), numbered(2, objects=1, mask=False)]
    written = write_shards(tmp_path, "00000", records)
    assert [(shard.file, shard.rows) for shard in written] == [("00000.arrow", 3)]
    for found, expected in zip(read(tmp_path, written), records, strict=True):
        assert_same(found, expected)


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = [numbered(0), numbered(1, mask=False)]
    (first,), (second,) = (write_shards(tmp_path, name, records) for name in "ab")
    assert first.sha256 == second.sha256
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()


@pytest.mark.parametrize("limit", [7_000, 20_000, 100_000])
@pytest.mark.parametrize("weight", [0, 1_000])
@pytest.mark.parametrize("objects", [0, 1, 12])
def test_no_shard_exceeds_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, weight: int, objects: int
) -> None:
    monkeypatch.setattr(shards, "LIMIT", limit)
    annotation = {
        "labels": tuple(range(objects)),
        "boxes_xyxy": np.ones((objects, 4), np.float32),
        "box_labels": np.zeros(objects, np.int64),
        "difficult": np.zeros(objects, bool),
        "truncated": np.zeros(objects, bool),
    }
    records = [replace(numbered(n), image=bytes(weight), **annotation) for n in range(150)]
    written = write_shards(tmp_path, "00007", records)
    assert len(written) > 1
    assert [shard.file for shard in written[:2]] == ["00007.arrow", "00007_001.arrow"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [shard.file for shard in written]
    for shard in written:
        shard.check(tmp_path)
        assert shard.bytes == (tmp_path / shard.file).stat().st_size <= limit
    assert [record.id for record in read(tmp_path, written)] == [record.id for record in records]


def test_a_shard_ends_before_the_record_that_would_exceed_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LIMIT", 100_000)
    records = [replace(numbered(n), image=bytes(45_000)) for n in range(5)]
    assert [shard.rows for shard in write_shards(tmp_path, "00000", records)] == [2, 2, 1]


def test_a_record_larger_than_a_shard_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LIMIT", 50_000)
    heavy = replace(numbered(1), image=bytes(50_000))
    with pytest.raises(InputError, match=r"image image 1: takes 5\d+ bytes.*holds 50000; make"):
        write_shards(tmp_path, "00000", [numbered(0), heavy])
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_read_without_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard,) = write_shards(tmp_path, "00000", map(numbered, range(3000)))
    asked: list[int] = []

    class Counting:
        def __init__(self, file: pa.RecordBatchFileReader) -> None:
            self.file, self.schema = file, file.schema
            self.num_record_batches = file.num_record_batches

        def get_batch(self, number: int) -> pa.RecordBatch:
            asked.append(number)
            return self.file.get_batch(number)

    opened = pa.ipc.open_file
    monkeypatch.setattr(pa.ipc, "open_file", lambda *a, **k: Counting(opened(*a, **k)))
    reader = ShardReader(tmp_path / shard.file, shard.rows)
    assert asked == []
    rows = [2999, 0, 64, 1500]
    assert [reader.read(row).id for row in rows] == [f"image {row}" for row in rows]
    assert asked == [46, 0, 1, 23]


@pytest.mark.parametrize("content", [b"", b"no arrow file", b"ARROW1\0\0"])
def test_another_file_is_no_shard(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.arrow: damaged.*run `dvc repro preprocess`"):
        ShardReader(tmp_path / "a.arrow", 1)


def test_other_arrow_files_are_no_shards(tmp_path: Path) -> None:
    other = pa.schema([("id", pa.string())])
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), other) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([{"id": "x"}], schema=other))
    with pytest.raises(InputError, match=r"a\.arrow: damaged"):
        ShardReader(tmp_path / "a.arrow", 1)


def test_a_shard_of_another_length_is_refused(tmp_path: Path) -> None:
    (shard,) = write_shards(tmp_path, "a", map(numbered, range(70)))
    with pytest.raises(InputError, match=r"a\.arrow: damaged"):
        ShardReader(tmp_path / shard.file, 64)
    with pytest.raises(InputError, match=r"a\.arrow: damaged"):
        ShardReader(tmp_path / shard.file, 128).read(70)


def test_a_damaged_batch_is_refused_when_it_is_read(tmp_path: Path) -> None:
    (shard,) = write_shards(tmp_path, "a", map(numbered, range(128)))
    path = tmp_path / shard.file
    content = bytearray(path.read_bytes())
    message = content.index(b"\xff\xff\xff\xff", 16)  # of the first batch, after the schema's
    content[message + 4 : message + 40] = bytes(36)
    path.write_bytes(content)
    reader = ShardReader(path, shard.rows)
    assert reader.read(64).id == "image 64"
    with pytest.raises(InputError, match=r"a\.arrow: damaged"):
        reader.read(0)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "not found"), (b"123", "has 3 bytes instead of 8")]
)
def test_a_missing_or_shorter_file_is_told(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.arrow: {told}; run `dvc repro preprocess`"):
        Shard(file="a.arrow", rows=1, bytes=8, sha256="").check(tmp_path)

"""A packed split is a sequence of records, whichever shards hold them."""

import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.packed.record import Record
from pipeline.packed.shards import write_shards
from pipeline.packed.store import Index, PackedSplit
from tests.datasets.numbered import CLASSES, numbered


def write(folder: Path, *shards: list[Record]) -> Path:
    """A packed split with these shards."""
    folder.mkdir()
    written = [s for i, records in enumerate(shards) for s in write_shards(folder, f"{i}", records)]
    Index(name="shapes", task="multi", classes=CLASSES, split="train", shards=written).write(folder)
    return folder


def of(*numbers: range) -> list[list[Record]]:
    return [list(map(numbered, each)) for each in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """150 records in three shards."""
    return write(tmp_path / "train", *of(range(70), range(70, 71), range(71, 150)))


def change_index(folder: Path, **values: Any) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_says_what_it_holds(folder: Path) -> None:
    packed = PackedSplit(folder)
    assert (packed.name, packed.task, packed.split) == ("shapes", "multi", "train")
    assert packed.classes == CLASSES
    assert len(packed) == 150


def test_any_record_is_found_by_its_index(folder: Path) -> None:
    packed = PackedSplit(folder)
    for index in (0, 63, 64, 69, 70, 71, 149, -1, -150):
        assert packed[index].id == f"image {index % 150}"
    assert [found.id for found in packed[62:72:3]] == [f"image {i}" for i in (62, 65, 68, 71)]
    for index in (150, -151):
        with pytest.raises(IndexError):
            packed[index]


def test_iteration_gives_the_records_of_every_index(folder: Path) -> None:
    packed = PackedSplit(folder)
    ids = [record.id for record in packed]
    assert ids == [packed[index].id for index in range(150)] == [f"image {i}" for i in range(150)]


def test_shards_are_opened_when_they_are_needed_and_few_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = PackedSplit(write(tmp_path / "many", *of(*(range(n, n + 1) for n in range(40)))))
    opened: list[int] = []
    monkeypatch.setattr(PackedSplit, "_open", count_calls(PackedSplit._open, opened))
    again = PackedSplit(tmp_path / "many")
    assert opened == []
    assert [again[index].id for index in (3, 3, 39, 3)] == [f"image {i}" for i in (3, 3, 39, 3)]
    assert opened == [3, 39]
    assert len(list(again)) == 40
    again[0]
    assert opened.count(0) == 2
    assert [record.id for record in packed] == [record.id for record in again]


def count_calls(function: Any, numbers: list[int]) -> Any:
    def counting(self: PackedSplit, number: int) -> Any:
        numbers.append(number)
        return function(self, number)

    return counting


def test_it_travels_to_another_process_as_its_path(folder: Path) -> None:
    packed = PackedSplit(folder)
    assert packed[3].id == "image 3"
    sent = pickle.dumps(packed)
    assert len(sent) < 500
    assert pickle.loads(sent)[149].id == "image 149"


def test_it_is_read_on_both_sides_of_a_fork(folder: Path) -> None:
    packed = PackedSplit(folder)
    assert packed[0].id == "image 0"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(packed.__getitem__, range(150))
    assert [record.id for record in found] == [record.id for record in packed]


def test_a_split_without_images_is_empty_and_knows_its_classes(tmp_path: Path) -> None:
    packed = PackedSplit(write(tmp_path / "val"))
    assert (len(packed), list(packed), packed[:3], packed.classes) == (0, [], [], CLASSES)
    with pytest.raises(IndexError):
        packed[0]


def test_the_digest_changes_with_any_record_and_with_nothing_else(tmp_path: Path) -> None:
    records = [numbered(0), numbered(1)]
    first, same, other = (
        PackedSplit(write(tmp_path / name, content)).digest
        for name, content in (("a", records), ("b", records), ("c", [numbered(0), numbered(2)]))
    )
    assert first == same != other


@pytest.mark.parametrize("missing", ["", "index.json", "1.arrow"])
def test_what_is_missing_is_named_with_the_stage_to_run(
    folder: Path, tmp_path: Path, missing: str
) -> None:
    (folder / missing).rename(tmp_path / "elsewhere")
    named = missing or "index.json"
    with pytest.raises(InputError, match=f"train/{named}: not found; run `dvc repro preprocess`"):
        PackedSplit(folder)


def test_a_file_is_no_packed_split(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(b"ARROW1")
    with pytest.raises(InputError, match="train/index.json: not found; run"):
        PackedSplit(tmp_path / "train")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "shapes"}', "\0\xff"])
def test_another_file_is_no_index(folder: Path, content: str) -> None:
    (folder / "index.json").write_text(content)
    with pytest.raises(InputError, match="index.json: not the index of a packed split; run"):
        PackedSplit(folder)


@pytest.mark.parametrize(
    "values", [{"task": "triple"}, {"shards": [{"file": "0.arrow"}]}, {"n": 1}]
)
def test_an_index_with_other_content_is_refused(folder: Path, values: dict[str, Any]) -> None:
    change_index(folder, **values)
    with pytest.raises(InputError, match="index.json: not the index of a packed split"):
        PackedSplit(folder)


def test_a_truncated_shard_is_told_at_opening(folder: Path) -> None:
    path = folder / "2.arrow"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-200])
    told = f"2.arrow: has {size - 200} bytes instead of {size}; run `dvc repro preprocess`"
    with pytest.raises(InputError, match=told):
        PackedSplit(folder)


def test_a_damaged_shard_is_told_when_it_is_read(folder: Path) -> None:
    path = folder / "2.arrow"
    path.write_bytes(bytes(path.stat().st_size))
    packed = PackedSplit(folder)
    assert packed[70].id == "image 70"
    with pytest.raises(InputError, match=r"2\.arrow: damaged, or no shard.*dvc repro preprocess"):
        packed[71]


def test_columns_are_fields_of_the_records_in_their_order(packed: Path) -> None:
    split = PackedSplit(packed / "multi/train")
    rows = list(split.columns("labels", "difficult"))
    assert [tuple(row["labels"]) for row in rows] == [record.labels for record in split]
    assert [row["difficult"] for row in rows] == [record.difficult.tolist() for record in split]
    assert {tuple(row) for row in rows} == {("labels", "difficult")}


def test_a_part_has_some_rows_in_their_order_and_travels(folder: Path) -> None:
    part = PackedSplit(folder).part(range(60, 75))
    assert [record.id for record in part] == [f"image {i}" for i in range(60, 75)]
    assert (len(part), part.rows, part.total) == (15, range(60, 75), 150)
    assert part[-1].id == "image 74"
    sent = pickle.loads(pickle.dumps(part.part(range(2, 4))))
    assert [record.id for record in sent] == ["image 62", "image 63"]

import pickle
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.record import Dataset, Record, Split
from pipeline.datasets.store import PackedSplit, write_split
from pipeline.errors import InputError


def png(value):
    buffer = BytesIO()
    Image.new("L", (9, 7), value).save(buffer, "PNG")
    return buffer.getvalue()


def record(number, objects=2, mask=True):
    return Record(
        id=f"image {number}",
        image=png(number % 256),
        width=9,
        height=7,
        labels=(0, 2)[:objects],
        boxes_xyxy=np.array([[0, 0, 3, 2.5], [1, 1, 9, 7]], dtype=np.float32)[:objects],
        box_labels=np.array([0, 2], dtype=np.int64)[:objects],
        difficult=np.array([False, True])[:objects],
        mask=png(1) if mask else None,
    )


def dataset(*records):
    return Dataset("shapes", "multi", ("a", "b", "c"), {"train": Split(iter, records)})


def assert_same(left, right):
    for name, value in vars(right).items():
        found = getattr(left, name)
        if isinstance(value, np.ndarray):
            assert found.dtype == value.dtype
            assert found.shape == value.shape
            assert (found == value).all()
        else:
            assert found == value


def test_records_come_back_as_they_were_written(tmp_path):
    written = [record(0), record(1, objects=0), record(2, objects=1, mask=False)]
    assert write_split(tmp_path / "train.arrow", dataset(*written), "train") == 3
    for found, expected in zip(PackedSplit(tmp_path / "train.arrow"), written, strict=True):
        assert_same(found, expected)


def test_the_file_says_what_it_holds(tmp_path):
    write_split(tmp_path / "a.arrow", dataset(record(0)), "train")
    packed = PackedSplit(tmp_path / "a.arrow")
    assert (packed.name, packed.task, packed.split) == ("shapes", "multi", "train")
    assert packed.classes == ("a", "b", "c")


def test_any_record_is_found_by_its_index_beyond_the_first_batch(tmp_path):
    write_split(tmp_path / "a.arrow", dataset(*map(record, range(150))), "train")
    packed = PackedSplit(tmp_path / "a.arrow")
    assert len(packed) == 150
    assert [packed[i].id for i in (0, 63, 64, 149, -1)] == [
        f"image {i}" for i in (0, 63, 64, 149, 149)
    ]
    assert [found.id for found in packed[62:66:2]] == ["image 62", "image 64"]
    with pytest.raises(IndexError):
        packed[150]


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_split(tmp_path / name, dataset(record(0), record(1, mask=False)), "train")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_it_travels_to_another_process_as_its_path(tmp_path):
    write_split(tmp_path / "a.arrow", dataset(*map(record, range(100))), "train")
    sent = pickle.dumps(PackedSplit(tmp_path / "a.arrow"))
    assert len(sent) < 500
    assert_same(pickle.loads(sent)[99], record(99))


def test_an_empty_split_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="shapes: split 'train' is empty"):
        write_split(tmp_path / "a.arrow", dataset(), "train")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_halfway_leaves_the_old_file(tmp_path):
    def failing(keys):
        yield record(0)
        raise InputError("bad picture")

    path = tmp_path / "a.arrow"
    write_split(path, dataset(record(5)), "train")
    with pytest.raises(InputError, match="bad picture"):
        write_split(path, Dataset("s", "multi", ("a",), {"train": Split(failing, [0])}), "train")
    assert [found.id for found in PackedSplit(path)] == ["image 5"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_names_the_stage_to_run(tmp_path):
    with pytest.raises(InputError, match="train.arrow: not found; run `dvc repro preprocess`"):
        PackedSplit(tmp_path / "train.arrow")


@pytest.mark.parametrize("content", [b"", b"no arrow file", b"ARROW1\0\0"])
def test_another_file_is_no_packed_split(tmp_path, content):
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(InputError, match="a.arrow: not a packed split"):
        PackedSplit(tmp_path / "a.arrow")


def test_a_truncated_file_is_no_packed_split(tmp_path):
    path = tmp_path / "a.arrow"
    write_split(path, dataset(record(0)), "train")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="a.arrow: not a packed split"):
        PackedSplit(path)

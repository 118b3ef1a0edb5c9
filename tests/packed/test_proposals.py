"""Stored proposals come back as they were, by split and place, on any side of a fork."""

import pickle
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import write_predictions
from pipeline.packed.proposals import Proposals, StoredProposals, write_proposals


def proposals(number, split="test"):
    rng = np.random.default_rng(number)
    count = (0, 3, 40)[number % 3]
    boxes = rng.random((count, 4), dtype=np.float32)
    return Proposals(f"{number:03}", split, boxes, rng.random(count, dtype=np.float32))


def assert_same(found, expected):
    assert (found.id, found.split) == (expected.id, expected.split)
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy, strict=True)
    np.testing.assert_array_equal(found.scores, expected.scores, strict=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "edge_boxes.arrow"


@pytest.mark.parametrize("count", [0, 1, 64, 65, 130])
def test_proposals_come_back_as_they_were(path, count):
    write_proposals(path, map(proposals, range(count)))
    stored = StoredProposals(path, "test")
    assert len(stored) == count
    for number, found in enumerate(stored):
        assert_same(found, proposals(number))


def test_any_image_of_any_split_is_found_by_its_place(path):
    splits = {"train": range(70), "val": range(70, 73), "test": range(73, 140)}
    write_proposals(path, (proposals(n, name) for name, own in splits.items() for n in own))
    for name, own in splits.items():
        stored = StoredProposals(path, name)
        assert len(stored) == len(own)
        for place in (len(own) - 1, 0, len(own) // 2, -1):
            assert_same(stored[place], proposals(own[place], name))
        assert [each.id for each in stored[1:3]] == [f"{n:03}" for n in own[1:3]]
        with pytest.raises(IndexError):
            stored[len(own)]


def test_what_is_missing_is_no_image(path):
    write_proposals(path, [proposals(1, "train")])
    assert len(StoredProposals(path, "test")) == 0
    write_proposals(path, ())
    assert list(StoredProposals(path, "train")) == []


def test_the_same_proposals_give_the_same_bytes(path, tmp_path):
    for each in (path, tmp_path / "again.arrow"):
        write_proposals(each, map(proposals, range(70)))
    assert path.read_bytes() == (tmp_path / "again.arrow").read_bytes()


def test_a_failed_search_leaves_the_older_file(path):
    write_proposals(path, [proposals(1)])
    before = path.read_bytes()

    def failing():
        yield proposals(2)
        raise InputError("no box")

    with pytest.raises(InputError, match="no box"):
        write_proposals(path, failing())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_is_sent_without_its_content(path):
    write_proposals(path, map(proposals, range(200)))
    sent = pickle.dumps(StoredProposals(path, "test"))
    assert len(sent) < 1000
    assert_same(pickle.loads(sent)[150], proposals(150))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_reader_serves_other_processes_too(path, start):
    write_proposals(path, map(proposals, range(200)))
    stored = StoredProposals(path, "test")
    assert_same(stored[3], proposals(3))
    with get_context(start).Pool(2) as pool:
        for number, found in enumerate(pool.map(stored.__getitem__, range(200), chunksize=50)):
            assert_same(found, proposals(number))


def test_torch_takes_the_arrays_as_they_are(path):
    write_proposals(path, [proposals(2)])
    found = StoredProposals(path, "test")[0]
    torch.from_numpy(found.boxes_xyxy).mul_(0)
    torch.from_numpy(found.scores).mul_(0)
    assert_same(StoredProposals(path, "test")[0], proposals(2))


def test_a_missing_damaged_or_foreign_file_names_the_stages(path):
    with pytest.raises(InputError, match=r"edge_boxes.arrow: not found; run .*propose"):
        StoredProposals(path, "test")
    write_proposals(path, [proposals(1)])
    foreign = path.parent / "foreign.arrow"
    write_predictions(foreign, [])
    for content in (b"", path.read_bytes()[:-10], b"PNG" * 100, foreign.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"edge_boxes.arrow: damaged, or no .*propose"):
            StoredProposals(path, "test")

"""Searching a split: every image, in order, in pixels of the original picture."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from pipeline.datasets.packing import pack
from pipeline.methods.bases import search as module
from pipeline.methods.bases.search import decode, search
from pipeline.methods.selective_search import selective_search
from pipeline.packed.record import SPLITS, Dataset, Split
from pipeline.packed.store import PackedSplit
from tests.coloured_boxes import COLOURS, coloured_box


def reduced(numbers):
    """Records whose picture is stored at half its width and a quarter of its height."""
    for number in numbers:
        record = coloured_box(number, "multi")
        scale = np.array([2, 4, 2, 4], np.float32)
        yield replace(record, width=96, height=160, boxes_xyxy=record.boxes_xyxy * scale)


@pytest.fixture
def split(tmp_path):
    numbers = dict(zip(SPLITS, (range(1), range(9), range(1)), strict=True))
    splits = {name: Split(reduced, own) for name, own in numbers.items()}
    pack(Dataset("boxes", "multi", COLOURS, splits), tmp_path / "multi", origin="", workers=1)
    return PackedSplit(tmp_path / "multi" / "val")


def coloured(image, colour):
    """The tight box of the pixels that are all but grey, with their mean as the score."""
    rows, columns = np.nonzero((image != 128).any(axis=2))
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array([box], np.float32), np.array([image[..., colour].mean()], np.float32)


def test_boxes_are_given_in_pixels_of_the_original_picture(split):
    for found, record in zip(search(split, partial(coloured, colour=0)), split, strict=True):
        assert (found.id, found.split) == (record.id, "val")
        union = [*record.boxes_xyxy[:, :2].min(axis=0), *record.boxes_xyxy[:, 2:].max(axis=0)]
        assert found.boxes_xyxy.dtype == np.float32
        np.testing.assert_array_equal(found.boxes_xyxy, [union])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_processes_changes_nothing(split, monkeypatch, workers):
    monkeypatch.setattr(module, "workers", lambda: workers)
    found = list(search(split, partial(coloured, colour=0)))
    assert [each.id for each in found] == [f"{number:03}" for number in range(9)]
    scores = [coloured(decode(record), 0)[1] for record in split]
    np.testing.assert_array_equal([each.scores for each in found], scores)


def test_a_search_comes_to_an_end_though_opencv_has_threads_in_this_process(split, monkeypatch):
    monkeypatch.setattr(module, "workers", lambda: 2)
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (9, 9), 2)
    assert len(list(search(split, selective_search))) == 9


def test_images_may_be_without_boxes(split):
    found = list(search(split, nothing))
    assert len(found) == 9
    assert all(each.boxes_xyxy.shape == (0, 4) for each in found)


def test_a_split_may_be_without_images(tmp_path):
    splits = {name: Split(reduced, range(int(name != "val"))) for name in SPLITS}
    pack(Dataset("boxes", "multi", COLOURS, splits), tmp_path / "multi", origin="", workers=1)
    assert list(search(PackedSplit(tmp_path / "multi/val"), nothing)) == []


def nothing(image):
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


def test_channels_are_decoded_in_the_order_red_green_blue(split):
    image = decode(split[0])
    assert image.shape == (40, 48, 3) and image.dtype == np.uint8
    assert image[10, 10].tolist() == [255, 0, 0]

import numpy as np
import pytest
import torch

from pipeline.datasets.packing import pack
from pipeline.methods.bases.spg.quality import mask_quality
from pipeline.packed.pictures import Window, inside_boxes
from pipeline.packed.record import Dataset, Split
from pipeline.packed.store import PackedSplit
from tests.coloured_boxes import COLOURS, coloured_box

SIZE = 32


@pytest.fixture
def split(tmp_path):
    """Five pictures, each with one box."""
    records = [coloured_box(number, "single") for number in range(5)]
    dataset = Dataset("boxes", "single", COLOURS, {"val": Split(iter, records)})
    pack(dataset, tmp_path / "single", origin="", workers=1)
    return PackedSplit(tmp_path / "single/val")


def taught(split, foreground, background):
    """Masks of every image: values of 1 and 0 where its box, a bool map, tells so, else 255."""
    left = iter(split)

    def masks(images, classes):
        found = torch.full((len(images), SIZE, SIZE), 255, dtype=torch.uint8)
        for mask, label in zip(found, classes, strict=True):
            record = next(left)
            assert label == record.labels[0]
            box = inside_boxes(record, Window(), SIZE)
            mask[foreground(box)], mask[background(box)] = 1, 0
        return {"b2": found}

    return masks


def everywhere(box):
    return torch.ones_like(box)


def nowhere(box):
    return torch.zeros_like(box)


def test_masks_that_are_the_boxes_are_right_everywhere(split):
    found = mask_quality(taught(split, lambda box: box, lambda box: ~box), split, SIZE, 2)
    assert found == {"b2_foreground_inside": 100, "b2_background_outside": 100}


def test_foreground_everywhere_is_right_for_the_share_of_the_boxes(split):
    found = mask_quality(taught(split, everywhere, nowhere), split, SIZE, 2)
    share = np.mean([inside_boxes(record, Window(), SIZE).float().mean() for record in split])
    assert found == {"b2_foreground_inside": pytest.approx(100 * share)}


def test_the_opposite_of_the_boxes_is_wrong_everywhere(split):
    found = mask_quality(taught(split, lambda box: ~box, lambda box: box), split, SIZE, 5)
    assert found == {"b2_foreground_inside": 0, "b2_background_outside": 0}


def test_a_mask_without_labels_says_nothing(split):
    assert mask_quality(taught(split, nowhere, nowhere), split, SIZE, 2) == {}


def test_boxes_are_warped_with_the_image(split):
    record = split[0]
    x0, y0, x1, y1 = record.boxes_xyxy[0]
    rows, columns = np.nonzero(inside_boxes(record, Window(), SIZE).numpy())
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    scale = [SIZE / record.width, SIZE / record.height] * 2
    np.testing.assert_allclose(found, np.array([x0, y0, x1, y1]) * scale, atol=0.5)

"""Proposals of the network are told in pixels, image by image."""

from pathlib import Path

import numpy as np
import torch
from pipeline.methods.region_proposals import region_proposals
from torch import nn

from pipeline.packed.store import PackedSplit
from tests.parameters import changed


class Fixed(nn.Module):
    """Proposes the left half and the lower quarter of each image, and counts images by scores."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        assert images.shape[1:] == (3, 64, 64) and images.dtype == torch.uint8
        boxes = torch.tensor([[0, 0, 0.5, 1], [0, 0.75, 1, 1], [0.5, 0, 1, 1]])
        found = [(boxes, torch.tensor([100.0 - self.seen - i, 1, 0.5])) for i in range(len(images))]
        self.seen += len(images)
        return found


def test_the_best_boxes_of_each_image_are_told_in_pixels(packed, quick):
    params = changed(quick, rpn__boxes=2, evaluate__batch_size=3)
    split = PackedSplit(Path(packed) / "multi/test")
    found = list(region_proposals(Fixed(), split, params))
    assert [each.id for each in found] == [record.id for record in split]
    for number, each in enumerate(found):
        assert each.split == "test"
        np.testing.assert_array_equal(each.boxes_xyxy, [[0, 0, 24, 40], [0, 30, 48, 40]])
        np.testing.assert_array_equal(each.scores, [100 - number, 1])
        assert each.boxes_xyxy.dtype == each.scores.dtype == np.float32

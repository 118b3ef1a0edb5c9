import numpy as np
import pytest
import torch
from pipeline.methods.detections import detect
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.wsddn import WeaklySupervisedDetector
from pipeline.models.backbones import Backbone
from pipeline.packed.proposals import Proposals
from pipeline.packed.store import PackedSplit
from tests.parameters import changed

CLASSES = 3


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: 0)


@pytest.fixture
def split(packed):
    return PackedSplit(packed / "multi" / "test")


@pytest.fixture
def chosen(quick):
    return changed(quick, wsddn__boxes=4, wsddn__hidden=8, evaluate__batch_size=3)


def stored(split, boxes, scores):
    boxes, scores = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)
    return [Proposals(record.id, split.split, boxes, scores) for record in split]


BOXES = [[4, 6, 22, 30], [0, 0, 48, 40], [30, 18, 46, 38]]


class Fixed(nn.Module):
    """Scores the i-th region of every image by the i-th row of a table."""

    def __init__(self, table):
        super().__init__()
        self.table = torch.tensor(table)

    def forward(self, images, regions):
        return self.table.repeat(len(images), 1, 1)


def test_each_class_has_the_box_that_scores_highest(split, chosen):
    table = [[0.1, 0.0, 0.2], [0.3, 0.0, 0.2], [0.2, 0.5, 0.1], [0.0, 0.0, 0.0]]
    found = list(detect(Fixed(table), split, stored(split, BOXES, [3, 2, 1]), chosen))
    assert [each.id for each in found] == [record.id for record in split]
    for each in found:
        np.testing.assert_allclose(each.scores, [0.6, 0.5, 0.5], rtol=1e-6)
        # Equal scores of class 2: the better proposal.
        assert each.boxes_xyxy.tolist() == [BOXES[1], BOXES[2], BOXES[0]]


def test_an_image_without_proposals_has_the_whole_picture(split, chosen):
    torch.manual_seed(0)
    network = WeaklySupervisedDetector(Backbone(chosen.backbone), CLASSES, chosen.wsddn)
    for each in detect(network, split, stored(split, [], []), chosen):
        assert each.boxes_xyxy.tolist() == [[0, 0, 48, 40]] * CLASSES
        assert each.scores.sum() == pytest.approx(1)  # one region: softmax over the classes


def test_what_an_image_gets_does_not_depend_on_its_batch(split, chosen):
    torch.manual_seed(0)
    network = WeaklySupervisedDetector(Backbone(chosen.backbone), CLASSES, chosen.wsddn)
    proposals = stored(split, BOXES, [3, 2, 1])
    together = list(detect(network, split, proposals, chosen))
    alone = list(detect(network, split, proposals, changed(chosen, evaluate__batch_size=1)))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)


def test_scores_that_are_not_finite_name_the_image(split, chosen):
    table = [[0.1, float("nan"), 0.2]] * 4
    with pytest.raises(InputError, match="image 014: .* not finite"):
        list(detect(Fixed(table), split, stored(split, BOXES, [3, 2, 1]), chosen))


def test_proposals_of_other_images_are_refused(split, chosen):
    proposals = stored(split, BOXES, [3, 2, 1])
    with pytest.raises(InputError, match="image 017 where those of 014 are expected"):
        list(detect(Fixed([[0.0] * 3] * 4), split, proposals[::-1], chosen))
    with pytest.raises(InputError, match="proposals of 3 images for the 4"):
        list(detect(Fixed([[0.0] * 3] * 4), split, proposals[:3], chosen))

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.methods import rpn
from pipeline.methods.rpn import (
    MOST_OBJECTS,
    Objects,
    RegionProposal,
    RegionProposer,
    objects_of,
)
from pipeline.models.backbones import Backbone
from pipeline.packed.pictures import Window
from pipeline.packed.store import PackedSplit
from pipeline.training.batches import training_batches
from tests.coloured_boxes import coloured_box
from tests.parameters import changed

SIZE = 64
TWO = coloured_box(1, "multi")  # 48 x 40, the second box difficult


@pytest.fixture
def network(quick):
    torch.manual_seed(0)
    return RegionProposer(Backbone(quick.backbone), SIZE).eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def knowing(network, anchor, offsets):
    """Let the head find one anchor of every image, moved by `offsets`, and nothing else."""

    def head(features):
        batch, _, height, width = features[0].shape
        kinds = len(rpn.ANCHOR_SIDES) * len(rpn.ASPECT_RATIOS)
        logits = torch.full((batch, height * width, kinds), -9.0)
        moves = torch.zeros(batch, height * width, kinds, 4)
        logits.flatten(1)[:, anchor] = 2.0
        moves.flatten(1, 2)[:, anchor] = torch.tensor(offsets)
        grid = (height, width)
        return (
            [logits.unflatten(1, grid).permute(0, 3, 1, 2)],
            [moves.flatten(2).unflatten(1, grid).permute(0, 3, 1, 2)],
        )

    network.rpn.head.forward = head
    return network


def test_proposals_are_shares_of_the_picture_best_first(network, images):
    for boxes, scores in network(images):
        assert boxes.shape == (len(scores), 4) and len(scores)
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (scores.diff() <= 0).all()


def test_a_proposal_is_its_anchor_moved_by_the_head(network, images):
    # The cell in row 2, column 2 of 4 x 4, its anchor of side 0.4 and ratio 1: 26 px at (32, 32).
    anchor = (2 * 4 + 2) * 12 + 4 + 2
    for boxes, scores in knowing(network, anchor, [0.5, 0, 0, 0.0])(images):
        expected = torch.tensor([32, 19, 58, 45]) / SIZE
        torch.testing.assert_close(boxes[0], expected)
        assert scores[0].item() == pytest.approx(torch.tensor(2.0).sigmoid().item())
        assert scores[1] < 0.001


def test_an_anchor_on_the_object_makes_a_small_loss(network, images):
    anchor = (2 * 4 + 2) * 12 + 4 + 2
    on = torch.tensor([[19.0, 19, 45, 45]]) / SIZE
    beside = torch.tensor([[0.0, 0, 20, 20]]) / SIZE
    knowing(network, anchor, [0.0, 0, 0, 0])
    right = network.losses(images, [on, on])
    wrong = network.losses(images, [beside, beside])
    assert set(right) == {"objectness", "box_regression"}
    assert right["box_regression"] == pytest.approx(0, abs=1e-6)
    assert wrong["box_regression"] > 0
    assert right["objectness"] < 0.02 < wrong["objectness"]


def test_an_image_without_objects_is_all_background(network, images):
    none = torch.zeros(0, 4)
    losses = network.losses(images, [none, none])
    assert losses["box_regression"] == 0
    losses["objectness"].backward()
    assert network.rpn.head.cls_logits.bias.grad.min() > 0


def test_head_and_backbone_learn_from_both_losses(network, images):
    losses = network.losses(images, [torch.tensor([[0.2, 0.2, 0.7, 0.7]])] * 2)
    (losses["objectness"] + losses["box_regression"]).backward()
    head = network.rpn.head
    assert head.cls_logits.weight.grad.any() and head.bbox_pred.weight.grad.any()
    assert any(p.grad is not None and p.grad.any() for p in network.backbone.parameters())


def test_the_best_boxes_of_each_image_are_told_in_pixels(packed, quick, network):
    """A network that proposes two halves and a quarter, and counts images by scores."""
    seen = []

    def fixed(images):
        assert images.shape[1:] == (3, SIZE, SIZE) and images.dtype == torch.uint8
        boxes = torch.tensor([[0, 0, 0.5, 1], [0, 0.75, 1, 1], [0.5, 0, 1, 1]])
        seen.extend(images)
        first = len(seen) - len(images)
        return [(boxes, torch.tensor([100.0 - first - i, 1, 0.5])) for i in range(len(images))]

    network.forward = fixed
    split = PackedSplit(packed / "multi/test")
    found = list(network.propose(split, changed(quick, rpn__boxes=2, evaluate__batch_size=3)))
    assert [each.id for each in found] == [record.id for record in split]
    for number, each in enumerate(found):
        assert each.split == "test"
        np.testing.assert_array_equal(each.boxes_xyxy, [[0, 0, 24, 40], [0, 30, 48, 40]])
        np.testing.assert_array_equal(each.scores, [100 - number, 1])
        assert each.boxes_xyxy.dtype == each.scores.dtype == np.float32


def test_objects_are_all_boxes_also_the_difficult_ones():
    assert TWO.difficult.tolist() == [False, True]
    found = objects_of(0, TWO, Window())
    assert found.boxes.shape == (MOST_OBJECTS, 4)
    assert found.present.sum() == 2 and found.present[:2].all()
    expected = torch.from_numpy(TWO.boxes_xyxy / [48, 40, 48, 40]).float()
    torch.testing.assert_close(found.boxes[:2], expected)


def test_objects_outside_of_the_window_are_no_objects():
    found = objects_of(0, TWO, Window((0.5, 0, 1, 1)))  # x 24..48; the first box ends at 22
    assert found.present[:2].tolist() == [False, True]


def test_an_image_may_have_no_objects_or_more_than_there_is_room_for():
    none = replace(TWO, boxes_xyxy=np.zeros((0, 4), np.float32))
    assert not objects_of(0, none, Window()).present.any()
    many = replace(TWO, boxes_xyxy=np.repeat(TWO.boxes_xyxy, MOST_OBJECTS, axis=0))
    found = objects_of(0, many, Window())
    assert found.boxes.shape == (MOST_OBJECTS, 4) and found.present.all()


def test_the_network_learns_from_the_objects_without_padding():
    seen = []

    class Recorded(nn.Module):
        def losses(self, images, boxes):
            seen.extend(boxes)
            return {"objectness": torch.tensor(1.0), "box_regression": torch.tensor(2.0)}

    boxes = torch.rand(2, 3, 4)
    present = torch.tensor([[True, False, True], [False, False, False]])
    terms = RegionProposal(Recorded())(torch.zeros(2), Objects(boxes, present), 0)
    assert {name: value.item() for name, value in terms.items()} == {
        "objectness": 1,
        "box_regression": 2,
    }
    assert torch.equal(seen[0], boxes[0, [0, 2]]) and seen[1].shape == (0, 4)


def test_batches_have_the_objects_of_their_images(packed, quick):
    split = PackedSplit(packed / "multi" / "train")
    plain = quick.input.model_copy(update={"margin": 0, "flip": False})
    loader, keys = training_batches(split, plain, 7, 4, objects_of)
    present = torch.cat([targets.present for _, targets in loader]).sum(1).tolist()
    assert present == [len(split[index].boxes_xyxy) for _, index in keys]

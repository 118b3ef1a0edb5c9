import pytest
import torch

from pipeline.errors import InputError
from pipeline.methods import rpn
from pipeline.methods.rpn import RegionProposer, propose
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights

SIZE = 64


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
    for boxes, scores in propose(network, images, 50):
        assert boxes.shape == (len(scores), 4) and 0 < len(scores) <= 50
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (scores.diff() <= 0).all()


def test_the_limit_keeps_the_best(network, images):
    every, few = propose(network, images, 1000), propose(network, images, 7)
    for (boxes, scores), (best, highest) in zip(every, few, strict=True):
        assert torch.equal(boxes[:7], best) and torch.equal(scores[:7], highest)


def test_a_proposal_is_its_anchor_moved_by_the_head(network, images):
    # The cell in row 2, column 2 of 4 x 4, its anchor of side 0.4 and ratio 1: 26 px at (32, 32).
    anchor = (2 * 4 + 2) * 12 + 4 + 2
    found = propose(knowing(network, anchor, [0.5, 0, 0, 0.0]), images, 5)
    for boxes, scores in found:
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


def test_trained_weights_are_those_of_the_file(quick, network, images, tmp_path):
    path = tmp_path / "rpn.safetensors"
    save_weights(network, path)
    loaded = rpn.trained(quick, path)
    assert not loaded.training
    for found, expected in zip(
        propose(loaded, images, 9), propose(network, images, 9), strict=True
    ):
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_missing_weights_name_the_stage_to_run(quick, tmp_path):
    with pytest.raises(InputError, match="not found; run `dvc repro train_method@rpn`"):
        rpn.trained(quick, tmp_path / "gone.safetensors")

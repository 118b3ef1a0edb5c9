import pytest
import torch
from torch.nn import functional as F

from pipeline.methods.spg.guidance import (
    add_missing_foreground,
    guidance_masks,
    masked_cross_entropy,
)
from pipeline.params import MaskThresholds

PAPER = MaskThresholds(delta_h=0.75, delta_l=0.125)  # exact in binary


def test_masks_follow_equation_1_with_strict_thresholds():
    maps = torch.tensor([[[0.0, 0.124, 0.125, 0.5, 0.75, 0.751, 1.0]]])
    masks = guidance_masks(maps, PAPER)
    assert masks.dtype == torch.uint8
    assert masks.tolist() == [[[0, 0, 255, 255, 255, 1, 1]]]


def test_masks_are_constants():
    maps = torch.rand(2, 4, 4, requires_grad=True)
    masks = add_missing_foreground(guidance_masks(maps, PAPER), maps, 20, 0.5)
    assert not masks.requires_grad


def test_an_image_without_enough_foreground_gets_a_lower_threshold():
    maps = torch.tensor([[[0.1, 0.3, 0.36, 0.6]]])
    masks = guidance_masks(maps, PAPER)
    rescued = add_missing_foreground(masks, maps, fewest=1, fallback=0.5)  # above 0.3
    assert rescued.dtype == torch.uint8
    assert rescued.tolist() == [[[0, 255, 1, 1]]]


def test_the_lower_threshold_does_not_leak_to_other_images():
    poor, rich = torch.tensor([[0.1, 0.3, 0.6]]), torch.tensor([[0.9, 0.8, 0.7]])
    for maps in (torch.stack([poor, rich]), torch.stack([rich, poor])):
        masks = guidance_masks(maps, PAPER)
        rescued = add_missing_foreground(masks, maps, fewest=2, fallback=0.7)
        row = 0 if torch.equal(maps[0], rich) else 1
        assert torch.equal(rescued[row], masks[row])
        assert rescued[1 - row].tolist() == [[0, 255, 1]]


def test_the_loss_is_the_mean_cross_entropy_of_labelled_pixels():
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.tensor([[[0, 1, 255]] * 3, [[255, 255, 1]] * 3], dtype=torch.uint8)
    labelled = masks < 255
    expected = F.binary_cross_entropy(logits.sigmoid()[labelled], masks[labelled].float())
    torch.testing.assert_close(masked_cross_entropy(logits, masks), expected)


def test_ignored_pixels_have_no_gradient():
    logits = torch.randn(1, 2, 2, requires_grad=True)
    masked_cross_entropy(logits, torch.tensor([[[0, 255], [1, 255]]])).backward()
    assert (logits.grad != 0).tolist() == [[[True, False], [True, False]]]


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_without_a_labelled_pixel_loss_and_gradient_are_0(value):
    logits = torch.full((2, 3, 3), value, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.full((2, 3, 3), 255))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3, 3))

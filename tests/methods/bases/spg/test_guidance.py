import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.methods.bases.spg.guidance import (
    balanced_cross_entropy,
    foreground_thresholds,
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
    assert not guidance_masks(maps, PAPER, 20, 0.5).requires_grad


def test_an_image_without_enough_foreground_gets_a_lower_threshold():
    maps = torch.tensor([[[0.1, 0.3, 0.36, 0.6]]])
    rescued = guidance_masks(maps, PAPER, fewest=1, fallback=0.5)  # above 0.3
    assert rescued.dtype == torch.uint8
    assert rescued.tolist() == [[[0, 255, 1, 1]]]


def test_the_lower_threshold_does_not_leak_to_other_images():
    poor, rich = torch.tensor([[0.1, 0.3, 0.6]]), torch.tensor([[0.9, 0.8, 0.7]])
    for maps in (torch.stack([poor, rich]), torch.stack([rich, poor])):
        rescued = guidance_masks(maps, PAPER, fewest=2, fallback=0.7)
        row = 0 if torch.equal(maps[0], rich) else 1
        assert torch.equal(rescued[row], guidance_masks(maps, PAPER)[row])
        assert rescued[1 - row].tolist() == [[0, 255, 1]]


def released_masks(image, thresholds, fewest, fallback):
    """What both releases do with one image: one threshold, then the background."""
    high = thresholds.delta_h
    if (image > high).sum() < fewest:
        high = image.max() * fallback
    masks = torch.full_like(image, 255)
    masks[image > high] = 1
    masks[image < thresholds.delta_l] = 0
    return masks.to(torch.uint8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 1.0), st.integers(0, 40))
def test_masks_of_a_batch_are_those_that_the_releases_give_its_images(seed, peak, fewest):
    generator = torch.Generator().manual_seed(seed)
    maps = peak * torch.rand(3, 6, 6, generator=generator) ** 2
    for image, masks in zip(maps, guidance_masks(maps, PAPER, fewest, 0.7), strict=True):
        assert torch.equal(masks, released_masks(image, PAPER, fewest, 0.7))


# The next two cases were counted with the released code of SPG (inception3_spg.py, mark_obj and
# mark_bg with 0.5, 0.05, 30 pixels, 0.7).
RELEASED = {"fewest": 30, "fallback": 0.7}
B1 = MaskThresholds(delta_h=0.5, delta_l=0.05)


def test_the_fallback_replaces_the_threshold_and_does_not_add_to_it():
    maps = torch.full((1, 20, 20), 0.2)
    maps[0, 0, :10], maps[0, 1, :10] = 0.9, 0.55  # 20 above 0.5, of which 10 above 0.63
    assert (guidance_masks(maps, B1) == 1).sum() == 20
    assert (guidance_masks(maps, B1, **RELEASED) == 1).sum() == 10


def test_a_map_that_is_background_everywhere_gives_no_foreground():
    maps = torch.full((1, 20, 20), 0.04)
    masks = guidance_masks(maps, B1, **RELEASED)
    assert (maps > foreground_thresholds(maps, 0.5, **RELEASED)).all()
    assert (masks == 0).all()


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


def test_apart_a_few_background_labels_weigh_as_much_as_many_of_foreground():
    logits = torch.zeros(1, 10, 10, requires_grad=True)
    masks = torch.ones(1, 10, 10, dtype=torch.uint8)
    masks[0, 0, :2], masks[0, 1] = 0, 255  # 88 of foreground, 2 of background
    gradients = []
    for loss in (masked_cross_entropy, balanced_cross_entropy):
        (gradient,) = torch.autograd.grad(loss(logits, masks), logits)
        assert (gradient[masks == 255] == 0).all()
        gradients.append((gradient[masks == 1].sum(), gradient[masks == 0].sum()))
    (foreground, background), (own, other) = gradients
    torch.testing.assert_close(foreground / background, torch.tensor(-44.0))
    torch.testing.assert_close(own, -other)


def test_apart_is_the_mean_of_the_two_averages():
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.tensor([[[0, 1, 255]] * 3, [[255, 255, 1]] * 3], dtype=torch.uint8)
    kinds = [F.softplus(-logits[masks == 1]).mean(), F.softplus(logits[masks == 0]).mean()]
    torch.testing.assert_close(balanced_cross_entropy(logits, masks), sum(kinds) / 2)


def test_equally_many_of_both_need_no_balance():
    logits = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(0))
    masks = torch.tensor([[[0, 1], [255, 255]]], dtype=torch.uint8)
    both = balanced_cross_entropy(logits, masks), masked_cross_entropy(logits, masks)
    torch.testing.assert_close(*both)


@pytest.mark.parametrize("kind", [0, 1])
def test_with_labels_of_one_kind_alone_nothing_is_to_be_balanced(kind):
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.full((2, 3, 3), 255, dtype=torch.uint8)
    masks[0, :2] = kind
    both = balanced_cross_entropy(logits, masks), masked_cross_entropy(logits, masks)
    torch.testing.assert_close(*both)


@pytest.mark.parametrize("cross_entropy", [masked_cross_entropy, balanced_cross_entropy])
@pytest.mark.parametrize("value", [0.0, 1e4])
def test_without_a_labelled_pixel_loss_and_gradient_are_0(value, cross_entropy):
    logits = torch.full((2, 3, 3), value, requires_grad=True)
    loss = cross_entropy(logits, torch.full((2, 3, 3), 255))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3, 3))

import pytest
import torch

from pipeline.methods.bases.spg import objective as objectives
from pipeline.methods.bases.spg.guidance import (
    balanced_cross_entropy,
    guidance_masks,
    masked_cross_entropy,
)
from pipeline.methods.bases.spg.network import GuidedMaps, SelfProducedGuidance
from pipeline.methods.bases.spg.objective import SelfProducedGuidanceObjective
from pipeline.models.backbones import Backbone
from pipeline.models.maps import normalise_maps
from tests.parameters import changed

CLASSES, SIZE = 3, 16
TARGETS = torch.tensor([0, 2])


@pytest.fixture
def objective(quick):
    """Build the objective with other parameters of spg."""

    def make(align_corners=False, **values):
        plain = (
            {"delta_h": 0.7, "delta_l": 0.1, "min_foreground": 0, "warmup_epochs": 2}
            | {"balance_labels": False}
            | values
        )
        named = {f"spg__{key}": value for key, value in plain.items()}
        chosen = changed(quick, input__align_corners=align_corners, **named)
        torch.manual_seed(0)
        network = SelfProducedGuidance(Backbone(chosen.backbone), CLASSES, chosen.spg)
        return SelfProducedGuidanceObjective(network, chosen.spg, chosen.input)

    return make


@pytest.fixture
def maps():
    """Maps of two images as the network would give them, to be differentiated."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return (3 * torch.randn(shape, generator=generator)).requires_grad_()

    return GuidedMaps(noise(2, CLASSES, 4, 4), noise(2, 8, 8), noise(2, 4, 4), noise(2, 4, 4))


def upsample(maps, size, align_corners=False):
    return objectives.upsample(maps, size, align_corners)


def seeds_of(objective, maps):
    chosen = torch.stack([maps.attention[0, 0], maps.attention[1, 2]])
    return guidance_masks(normalise_maps(upsample(chosen.detach(), SIZE)), objective.params)


def test_warm_up_has_the_classification_term_alone(objective):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    trained = objective(warmup_epochs=2)
    names = [list(trained(images, TARGETS, epoch)) for epoch in range(4)]
    assert names[:2] == [["classification"]] * 2
    assert names[2:] == [["classification", "b2", "b1", "c"]] * 2
    assert list(objective(warmup_epochs=0, with_c=False)(images, TARGETS, 0)) == [
        "classification",
        "b2",
        "b1",
    ]


def test_the_classification_term_is_the_same_with_guidance(objective):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    trained = objective(warmup_epochs=1)
    alone, guided = trained(images, TARGETS, 0), trained(images, TARGETS, 1)
    torch.testing.assert_close(alone["classification"], guided["classification"])


def test_b2_learns_the_seeds_of_the_labels_attention(objective, maps):
    trained = objective()
    expected = masked_cross_entropy(upsample(maps.b2, SIZE), seeds_of(trained, maps))
    torch.testing.assert_close(trained.guidance(maps, TARGETS, SIZE)["b2"], expected)


def test_in_the_cascade_b1_learns_from_b2(objective, maps):
    trained = objective(cascade=True)
    masks = guidance_masks(upsample(maps.b2, SIZE).sigmoid(), trained.params.b1)
    expected = masked_cross_entropy(upsample(maps.b1, SIZE), masks)
    torch.testing.assert_close(trained.guidance(maps, TARGETS, SIZE)["b1"], expected)


def test_without_the_cascade_b1_learns_the_seeds(objective, maps):
    trained = objective(cascade=False)
    expected = masked_cross_entropy(upsample(maps.b1, SIZE), seeds_of(trained, maps))
    torch.testing.assert_close(trained.guidance(maps, TARGETS, SIZE)["b1"], expected)


def test_c_learns_from_the_mean_of_b1_and_b2(objective, maps):
    trained = objective()
    fused = (upsample(maps.b1, SIZE).sigmoid() + upsample(maps.b2, SIZE).sigmoid()) / 2
    expected = masked_cross_entropy(upsample(maps.c, SIZE), guidance_masks(fused, trained.params.c))
    torch.testing.assert_close(trained.guidance(maps, TARGETS, SIZE)["c"], expected)


def test_every_branch_may_have_the_two_kinds_of_labels_averaged_apart(objective, maps):
    trained = objective(balance_labels=True, cascade=False)
    b1, b2, c = (upsample(own.detach(), SIZE) for own in (maps.b1, maps.b2, maps.c))
    seeds = seeds_of(trained, maps)
    fused = guidance_masks((b1.sigmoid() + b2.sigmoid()) / 2, trained.params.c)
    found = trained.guidance(maps, TARGETS, SIZE)
    for branch, logits, masks in (("b1", b1, seeds), ("b2", b2, seeds), ("c", c, fused)):
        torch.testing.assert_close(found[branch], balanced_cross_entropy(logits, masks))
        assert found[branch] != masked_cross_entropy(logits, masks)


@pytest.mark.parametrize("cascade", [True, False])
@pytest.mark.parametrize("branch", ["b1", "b2", "c"])
def test_a_guidance_loss_moves_its_own_branch_alone(objective, maps, branch, cascade):
    objective(cascade=cascade).guidance(maps, TARGETS, SIZE)[branch].backward()
    moved = [name for name, map_ in vars(maps).items() if map_.grad is not None]
    assert moved == [branch]
    assert vars(maps)[branch].grad.abs().sum() > 0


def test_maps_of_other_classes_give_no_guidance(objective, maps):
    trained = objective()
    before = trained.guidance(maps, TARGETS, SIZE)
    with torch.no_grad():
        maps.attention[0, 1:] += 5
        maps.attention[1, :2] *= -3
    assert trained.guidance(maps, TARGETS, SIZE) == before


def test_an_image_without_seeds_is_rescued_by_the_fallback(objective):
    attention = torch.ones(1, SIZE, SIZE)
    attention[0, 0, 0], attention[0, :, 8:] = 0, 0.5
    without = objective(delta_h=0.4, min_foreground=0)
    assert (without.masks(attention * 0.3, without.params) == 1).sum() == 0
    rescuing = objective(delta_h=0.4, min_foreground=1, fallback=0.7)
    rescued = rescuing.masks(attention * 0.3, rescuing.params)
    assert torch.equal(rescued[0] == 1, attention[0] == 1)


@pytest.mark.parametrize("branch", ["b1", "c"])
def test_targets_of_b1_and_c_are_rescued_too(objective, maps, branch):
    def loss(fewest):
        return objective(min_foreground=fewest, fallback=0.9).guidance(maps, TARGETS, SIZE)[branch]

    # Sigmoids of 0.5 at most have no pixel above the thresholds of B1 and C.
    with torch.no_grad():
        maps.b1[:], maps.b2[:] = -maps.b1.abs(), -maps.b2.abs()
    assert loss(0) != loss(SIZE * SIZE)


def test_the_objective_trains_every_branch(objective):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    trained = objective(warmup_epochs=0)
    terms = trained(images, TARGETS, 0)
    torch.stack(list(terms.values())).sum().backward()
    added = {n for n, p in trained.network.named_parameters() if not n.startswith("backbone")}
    moved = {n for n in added if trained.network.get_parameter(n).grad is not None}
    assert moved == added
    assert all(trained.network.get_parameter(n).grad.isfinite().all() for n in moved)


def test_upsampling_keeps_constants_and_means():
    maps = torch.stack([torch.full((4, 4), 3.0), torch.arange(16.0).reshape(4, 4)])
    resized = upsample(maps, SIZE)
    assert resized.shape == (2, SIZE, SIZE)
    assert torch.equal(resized[0], torch.full((SIZE, SIZE), 3.0))
    torch.testing.assert_close(resized[1].mean(), maps[1].mean())


def test_aligned_corners_keep_the_values_of_the_corner_cells():
    maps = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0))
    resized = upsample(maps, SIZE, align_corners=True)
    assert torch.equal(resized[:, :: SIZE - 1, :: SIZE - 1], maps[:, ::3, ::3])


@pytest.mark.parametrize("align_corners", [False, True])
def test_every_map_of_the_guidance_is_resized_as_told(objective, maps, align_corners):
    trained = objective(align_corners=align_corners, cascade=False)
    b1, b2, c, own = (
        upsample(each.detach(), SIZE, align_corners)
        for each in (maps.b1, maps.b2, maps.c, maps.attention[torch.arange(2), TARGETS])
    )
    seeds = guidance_masks(normalise_maps(own), trained.params)
    fused = guidance_masks((b1.sigmoid() + b2.sigmoid()) / 2, trained.params.c)
    expected = {"b2": (b2, seeds), "b1": (b1, seeds), "c": (c, fused)}
    found = trained.guidance(maps, TARGETS, SIZE)
    for branch, (logits, masks) in expected.items():
        torch.testing.assert_close(found[branch], masked_cross_entropy(logits, masks))


def test_detached_branches_leave_the_attention_to_classification(objective):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    gradients = []
    for detached in (False, True):
        trained = objective(detach_branches=detached, warmup_epochs=0, delta_l=0.3)
        terms = trained.eval()(images, TARGETS, 0)
        (terms["b1"] + terms["b2"] + terms["c"]).backward()
        gradients.append([p.grad is not None for p in trained.network.a.parameters()])
    assert gradients == [[True] * 4, [False] * 4]

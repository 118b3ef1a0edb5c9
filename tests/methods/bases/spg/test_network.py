import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.bases.spg.network import SelfProducedGuidance
from pipeline.methods.bases.spg_plain import SpgPlain
from pipeline.models.backbones import Backbone
from tests.parameters import changed

CLASSES = 5


@pytest.fixture
def build(quick):
    """Build a network with the same random weights each time."""

    def make(kind=SelfProducedGuidance, **values):
        chosen = changed(quick, **{f"spg__{key}": value for key, value in values.items()})
        torch.manual_seed(0)
        return kind(Backbone(chosen.backbone), CLASSES, chosen.spg)

    return make


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("kind", [SpgPlain, SelfProducedGuidance])
def test_the_logit_is_the_mean_of_the_attention_map(build, images, kind):
    network = build(kind).eval()
    found = network.localize(images)
    assert found.response_maps.shape == (3, CLASSES, 4, 4)
    torch.testing.assert_close(found.response_maps.mean((2, 3)), found.logits)
    torch.testing.assert_close(network(images), found.logits)


def test_b1_reads_the_stride_8_stage_and_b2_the_next(build, images):
    maps = build().guided(images)
    assert maps.b1.shape == (3, 8, 8)
    assert maps.b2.shape == maps.c.shape == (3, 4, 4)


def test_guidance_is_reported_in_0_to_1_by_branch(build, images):
    guidance = build().eval().localize(images).guidance
    assert list(guidance) == ["b2", "b1", "c"]
    assert all(m.min() >= 0 and m.max() <= 1 for m in guidance.values())


def test_without_c_there_is_no_branch_c(build, images):
    network = build(with_c=False).eval()
    assert network.guided(images).c is None
    assert list(network.localize(images).guidance) == ["b2", "b1"]
    assert not any(name.startswith("c.") for name in network.state_dict())


@pytest.mark.parametrize("count", [1, 2])
def test_branch_c_has_the_convolutions_of_the_release_or_of_the_paper(build, images, count):
    network = build(c_convolutions=count)
    sizes = [m.kernel_size for m in network.c.modules() if isinstance(m, nn.Conv2d)]
    assert sizes == [(3, 3)] * count + [(1, 1)]
    assert network.guided(images).c.shape == (3, 4, 4)


def test_the_plain_twin_has_neither_branches_nor_guidance(build, images):
    plain, guided = build(SpgPlain), build()
    assert plain.eval().localize(images).guidance == {}
    assert set(plain.state_dict()) < set(guided.state_dict())


def test_the_branches_do_not_touch_the_classification(build, images):
    plain, guided = build(SpgPlain).eval(), build().eval()
    guided.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(guided(images), plain(images))


def learnt_from_b1(network, images):
    """Names of the added parameters that a loss on B1 alone would move."""
    network.guided(images).b1.square().sum().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    return {name for name in moved if not name.startswith("backbone")}


def test_b1_and_b2_share_their_tail_unless_told_otherwise(build, images):
    shared, separate = build(share_b=True), build(share_b=False)
    assert {name.split(".")[0] for name in learnt_from_b1(shared, images)} == {"b1", "tails"}
    assert len(shared.tails) == 1
    own = {name for name in learnt_from_b1(separate, images) if name.startswith("tails.1")}
    assert len(separate.tails) == 2 and not own


def test_a_backbone_needs_a_stage_after_stride_8(quick):
    coarse = changed(quick, backbone__output_stride=32)
    backbone = Backbone(coarse.backbone)
    backbone.strides = [2, 4, 16, 32]
    with pytest.raises(InputError, match=r"needs a stride-8 stage .* \[2, 4, 16, 32\]"):
        SelfProducedGuidance(backbone, CLASSES, coarse.spg)


def test_detached_branches_change_nothing_that_the_attention_comes_from(build, images):
    for detached in (False, True):
        network = build()
        maps = network.guided(images, detached)
        (maps.b1.sum() + maps.b2.sum() + maps.c.sum()).backward()
        own = [network.b1, network.b2, network.tails, network.c]
        assert all(p.grad is not None for module in own for p in module.parameters())
        reached = [
            p.grad is not None for p in (*network.backbone.parameters(), *network.a.parameters())
        ]
        assert any(reached) != detached


def test_detached_branches_say_the_same(build, images):
    usual, detached = (build().eval().guided(images, own) for own in (False, True))
    assert torch.equal(usual.b1, detached.b1) and torch.equal(usual.c, detached.c)
    assert torch.equal(usual.attention, detached.attention)

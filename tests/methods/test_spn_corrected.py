import torch

from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.methods.spn_corrected import METHOD
from pipeline.models.backbones import Backbone
from tests.parameters import changed


def built(params):
    torch.manual_seed(0)
    return METHOD.network(Backbone(params.backbone), 3, params).eval()


def test_it_is_spn_with_a_map_of_its_own(quick):
    corrected, spn = built(quick), SoftProposalNetwork(Backbone(quick.backbone), 3, quick.spn)
    spn.load_state_dict(corrected.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    features = corrected.features(images)
    assert torch.equal(spn.eval().features(images), features)
    assert not torch.allclose(corrected.proposal_maps(features), spn.proposal_maps(features))


def test_what_spn_makes_of_its_own_map_does_not_concern_it(quick):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    given = built(quick).localize(images)
    other = changed(quick, spn__border_correction=True, spn__sharpness=4.0)
    assert torch.equal(built(other).localize(images).proposal_maps, given.proposal_maps)


def test_without_correction_and_exponent_it_is_spn(quick):
    plain = built(
        changed(quick, spn_corrected__border_correction=False, spn_corrected__sharpness=1.0)
    )
    spn = SoftProposalNetwork(Backbone(quick.backbone), 3, quick.spn).eval()
    spn.load_state_dict(plain.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(plain.localize(images).response_maps, spn.localize(images).response_maps)

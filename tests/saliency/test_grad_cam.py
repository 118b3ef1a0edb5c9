import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.saliency.grad_cam import grad_cam
from tests.saliency.networks import Functional, Staged, images, modules

CLASSES = torch.tensor([2, 0, 3])


def test_slopes_averaged_over_cells_weigh_the_maps(params):
    # A = image, slopes 1, 3 in the first channel and -2, -2 in the second: weights 2 and -2.
    class Weighted(nn.Module):
        def forward(self, images):
            slopes = torch.tensor([[1.0, 3.0], [-2.0, -2.0]]).reshape(2, 1, 2)
            return (torch.relu(images) * slopes).sum((1, 2, 3))[:, None]

    maps = torch.tensor([[5.0, 1.0], [1.0, 4.0]]).reshape(1, 2, 1, 2).requires_grad_()
    found = grad_cam(Weighted(), maps, torch.tensor([0]), params.saliency)
    torch.testing.assert_close(found, torch.tensor([[[8.0, 0.0]]]))


@pytest.mark.parametrize("model", ["cam_multi", "spg_plain"])
def test_of_a_class_activation_network_it_is_the_positive_part_of_its_cam(quick, model):
    torch.manual_seed(0)
    network = registry.find(model, quick).load().network(Backbone(quick.backbone), 4, quick).eval()
    pictures = 255 * images(3, 64)
    cams = network.localize(pictures).response_maps[torch.arange(3), CLASSES]
    if model == "spg_plain":  # its maps have the bias, and are averaged afterwards
        cams = (cams - network.a4.bias[CLASSES][:, None, None]) / cams[0].numel()
    assert (cams > 0).any() and (cams < 0).any()
    found = grad_cam(network, pictures, CLASSES, quick.saliency)
    torch.testing.assert_close(found, cams.relu(), rtol=1e-3, atol=1e-6)


def test_captum_finds_the_same_at_the_last_activation_of_maps(params):
    network = modules()
    expected = LayerGradCam(network, network[4]).attribute(
        images(), CLASSES, relu_attributions=True
    )
    for chosen in (network, Functional(network)):
        torch.testing.assert_close(
            grad_cam(chosen, images(), CLASSES, params.saliency), expected[:, 0]
        )


def test_captum_finds_the_same_at_a_layer_of_the_backbone(params):
    network = Staged().eval()
    expected = LayerGradCam(network, network.backbone.network.first).attribute(
        images(), CLASSES, relu_attributions=True
    )
    chosen = params.saliency.model_copy(update={"grad_cam_layer": "first"})
    found = grad_cam(network, images(), CLASSES, chosen)
    assert expected.any()
    torch.testing.assert_close(found, expected[:, 0])
    missing = params.saliency.model_copy(update={"grad_cam_layer": "third"})
    with pytest.raises(InputError, match="saliency.grad_cam_layer: 'third' is no layer of the"):
        grad_cam(network, images(), CLASSES, missing)


def test_the_last_maps_may_be_a_concatenation(params):
    class Branches(nn.Module):
        def forward(self, images):
            maps = torch.cat([torch.relu(images), torch.relu(-images)], 1)
            return torch.stack([maps[:, 0], maps[:, 1]], 1).mean((2, 3))

    picture = torch.tensor([[3.0, -5.0]]).reshape(1, 1, 1, 2).requires_grad_()
    for label, expected in ((0, [3.0, 0.0]), (1, [0.0, 5.0])):
        found = grad_cam(Branches(), picture, torch.tensor([label]), params.saliency)
        torch.testing.assert_close(found / found.max(), torch.tensor([[expected]]) / max(expected))


def test_maps_of_one_cell_are_none(params):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(3, 4))
    with pytest.raises(InputError, match="saliency.methods: grad_cam needs .* feature maps"):
        grad_cam(network, images(), CLASSES, params.saliency)

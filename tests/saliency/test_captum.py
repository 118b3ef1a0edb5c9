"""Captum hooks modules of nn.ReLU: networks without them get the plain gradient from it."""

import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop, Saliency

from pipeline.saliency.methods import saliency_maps
from tests.saliency.networks import Functional, images, modules

CLASSES = [2, 0, 3]
THEIRS = {"deconvolution": Deconvolution, "guided_backpropagation": GuidedBackprop}


@pytest.mark.filterwarnings("ignore:.*[Bb]ackward hooks")
@pytest.mark.parametrize("method", THEIRS)
def test_activations_that_are_functions_have_captums_maps_of_the_same_modules(params, method):
    captum, functional = THEIRS[method], Functional(modules())
    labels = torch.tensor(CLASSES)

    def theirs(kind, network):
        return kind(network).attribute(images().requires_grad_(), labels).abs().amax(1)

    plain = theirs(Saliency, functional)
    torch.testing.assert_close(theirs(captum, functional), plain)
    expected = theirs(captum, modules())
    assert not torch.allclose(expected, plain, rtol=0.1)
    targets = [[label] for label in CLASSES]
    found = saliency_maps(functional, images(), targets, method, params.saliency)
    torch.testing.assert_close(torch.cat(found), expected)

"""Layer-wise relevance propagation (LRP: Bach et al., PLOS ONE 2015)."""

from functools import partial

import torch
from torch import Tensor, nn

from pipeline.params import SaliencyParams
from pipeline.saliency.backward import class_score
from pipeline.saliency.relevance import Relevance, divided

ALPHA = 2.0
"""Weight of the contributions that agree with a unit; those against it have beta = alpha - 1."""


def lrp(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return the relevance of pixels by the alpha-beta rule, alpha 2 and beta 1, (n, S, S).

    With contributions z_ij = w_ij x_i, z_j+ and z_j- the sums of the positive and of the negative
    ones, the bias among them (Eq. 60):
    R_i = sum_j (alpha z_ij+ / z_j+ - beta z_ij- / z_j-) R_j, from R = S at the class score. The
    relevance of a pixel is the sum over its colours; it is positive where it speaks for the class.

    Layers are replaced as `relevance` tells. Eq. 60 is for units whose value is positive; of one
    with a negative value, which linear bottlenecks have, the negative contributions agree and have
    alpha. Terms of a sum and cells of an average share by alpha 1, beta 0.

    SPN does not say which rule its tables compare with. This is one of the two that Bach et al.
    show for images; the other, epsilon, is nothing but gradient times input on ReLU networks.
    """
    return relevance(network, images, classes, ALPHA)


def relevance(network: nn.Module, images: Tensor, classes: Tensor, alpha: float) -> Tensor:
    """Return the relevance of pixels with another alpha."""
    rule, proportional = partial(alpha_beta, alpha), partial(alpha_beta, 1.0)
    with Relevance(rule, proportional, with_bias=True) as backward:
        logits = network(images.detach().requires_grad_())
    image = backward.image
    assert image is not None, "a network of images has a convolution"
    (slope,) = torch.autograd.grad(class_score(logits, classes), image)
    return (image.detach() * slope).sum(1)


def alpha_beta(
    alpha: float, slope: Tensor, value: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the slopes of both sums under the alpha-beta rule; beta is alpha - 1."""
    shared = slope * value
    agreeing = shared * (0.5 + (alpha - 0.5) * value.sign())  # alpha, or 1 - alpha below 0
    return divided(agreeing, positive), divided(shared - agreeing, negative)

"""Contrastive MWP (c-MWP: Zhang et al., ECCV 2016, Sec. 3.3)."""

from torch import Tensor, nn

from pipeline.params import SaliencyParams
from pipeline.saliency.mwp import winning


def c_mwp(network: nn.Module, images: Tensor, classes: Tensor, params: SaliencyParams) -> Tensor:
    """Return the positive part of MWP minus the MWP of the negated class unit, (n, h, w).

    Both start with probability 1 at the class unit, with weights W and -W. Below it they pass the
    same layers, so that the difference of the maps is the map of the difference; what is negative
    is cut off after the sum over channels, as in the released code. Args and errors as of `mwp`.
    """
    excited, inhibited = winning(network, images, classes, params.excitation_layer, (1.0, -1.0))
    return (excited - inhibited).clamp(min=0)

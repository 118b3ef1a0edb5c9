"""Soft Proposal Network (SPN, ICCV 2017)."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.methods.bases import cam
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.bases.spn.evolution import watch
from pipeline.methods.bases.spn.soft_proposal import SoftProposal
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization, Method
from pipeline.params import SpnParams


class SoftProposalNetwork(ClassActivationNetwork):
    """The class activation network with features coupled to their Soft Proposal (SPN Fig. 3)."""

    def __init__(self, backbone: Backbone, classes: int, params: SpnParams) -> None:
        super().__init__(backbone, classes, params)
        self.soft_proposal = SoftProposal(params)

    def proposal_maps(self, features: Tensor) -> Tensor:
        """Return M (B, h, w), each with sum 1, by the random walk on the features."""
        maps: Tensor = self.soft_proposal(features)
        return maps

    def localize(self, images: Tensor) -> Localization:
        """Return scores, response maps and the proposal maps that they are coupled to."""
        features = self.features(images)
        proposals = self.proposal_maps(features)
        return replace(self._localization(features, proposals), proposal_maps=proposals)

    def control_maps(self, height: int, width: int, seed: int) -> Iterator[NDArray[np.float32]]:
        """Yield proposal maps (height, width) of rectified Gaussian noise instead of features.

        The control for what the module makes of any features: its centre prior.
        """
        generator = torch.Generator().manual_seed(seed)
        shape = (1, self.width, height, width)
        while True:
            noise = torch.randn(shape, generator=generator).relu()
            yield self.soft_proposal(noise)[0].numpy()


KEYS = (
    *cam.KEYS,
    "spn.solver",
    "spn.max_iterations",
    "spn.tolerance",
    "spn.epsilon",
    "spn.epsilon_relative_to",
    "spn.differentiate_through_m",
)
"""Keys of params.yaml that decide this network, without those beyond the paper."""

METHOD = Method(
    network=lambda backbone, classes, params: SoftProposalNetwork(backbone, classes, params.spn),
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn",),
    keys=(*KEYS, "spn.border_correction", "spn.sharpness"),
    watch=watch,
)

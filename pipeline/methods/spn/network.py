"""Soft Proposal Network (SPN, ICCV 2017)."""

from dataclasses import replace

from torch import Tensor

from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.spn.soft_proposal import SoftProposal
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization
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

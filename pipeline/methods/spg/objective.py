"""The objective of Self-produced Guidance (SPG Sec. 3.2, Algorithm 1)."""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.methods.spg.guidance import (
    balanced_cross_entropy,
    guidance_masks,
    masked_cross_entropy,
)
from pipeline.methods.spg.network import GuidedMaps, SelfProducedGuidance
from pipeline.models.interface import Method
from pipeline.models.losses import classification_loss
from pipeline.models.maps import normalise_maps
from pipeline.params import InputParams, MaskThresholds, SpgParams


class SelfProducedGuidanceObjective(nn.Module):
    """Cross-entropy plus the guidance losses of B2, B1 and C, all of weight 1 (SPG Algorithm 1).

    The guidance losses join after `warmup_epochs`, when attention maps are worth learning from.
    `images` says how maps are resized to the input.
    """

    def __init__(
        self, network: SelfProducedGuidance, params: SpgParams, images: InputParams
    ) -> None:
        super().__init__()
        self.network, self.params = network, params
        self.cross_entropy = (
            balanced_cross_entropy if params.balance_labels else masked_cross_entropy
        )
        self.upsample = partial(upsample, align_corners=images.align_corners)

    def forward(self, images: Tensor, targets: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch in `epoch` (from 0)."""
        if epoch < self.params.warmup_epochs:
            return {"classification": classification_loss(self.network(images), targets)}
        maps = self.network.guided(images)
        terms = {"classification": classification_loss(maps.attention.mean((2, 3)), targets)}
        return terms | self.guidance(maps, targets, images.shape[2])

    def guidance(self, maps: GuidedMaps, targets: Tensor, size: int) -> dict[str, Tensor]:
        """Return the losses of the branches, with all maps at `size` x `size`."""
        chosen = maps.attention[torch.arange(len(targets)), targets].detach()
        b1, b2 = self.upsample(maps.b1, size), self.upsample(maps.b2, size)
        p1, p2 = torch.sigmoid(b1.detach()), torch.sigmoid(b2.detach())
        seeds = self.masks(normalise_maps(self.upsample(chosen, size)), self.params)
        b1_masks = self.masks(p2, self.params.b1) if self.params.cascade else seeds
        losses = {"b2": self.cross_entropy(b2, seeds), "b1": self.cross_entropy(b1, b1_masks)}
        if maps.c is not None:
            fused = self.masks((p1 + p2) / 2, self.params.c)
            losses["c"] = self.cross_entropy(self.upsample(maps.c, size), fused)
        return losses

    def masks(self, maps: Tensor, thresholds: MaskThresholds) -> Tensor:
        """Return the masks of maps (B, H, W) in [0, 1], those with too little foreground rescued.

        The released code rescues the masks of every branch, the paper none (`min_foreground: 0`).
        """
        fewest, fallback = self.params.min_foreground, self.params.fallback
        return guidance_masks(maps, thresholds, fewest, fallback)


def upsample(maps: Tensor, size: int, align_corners: bool) -> Tensor:
    """Resize maps (B, h, w) bilinearly to (B, size, size); see `input.align_corners`."""
    square = (size, size)
    return F.interpolate(maps[:, None], square, mode="bilinear", align_corners=align_corners)[:, 0]


METHOD = Method(
    network=lambda backbone, classes, params: SelfProducedGuidance(backbone, classes, params.spg),
    objective=lambda network, params: SelfProducedGuidanceObjective(
        cast(SelfProducedGuidance, network), params.spg, params.input
    ),
    schedule=lambda params, track: params.spg.train,
    sections=("spg",),
)

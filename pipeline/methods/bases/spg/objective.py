"""The objective of Self-produced Guidance (SPG Sec. 3.2, Algorithm 1)."""

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.methods.bases.spg.guidance import (
    balanced_cross_entropy,
    guidance_masks,
    masked_cross_entropy,
)
from pipeline.methods.bases.spg.network import GuidedMaps, SelfProducedGuidance
from pipeline.methods.bases.spg.quality import mask_quality
from pipeline.models.interface import Method
from pipeline.models.losses import classification_loss
from pipeline.models.maps import normalise_maps
from pipeline.packed.store import PackedSplit
from pipeline.params import InputParams, MaskThresholds, Params, SpgParams


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

    def forward(self, images: Tensor, targets: Any, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch in `epoch` (from 0)."""
        labels = self.labels_of(targets)
        if epoch < self.params.warmup_epochs:
            return {"classification": classification_loss(self.network(images), labels)}
        maps = self.network.guided(images, self.params.detach_branches)
        terms = {"classification": classification_loss(maps.attention.mean((2, 3)), labels)}
        return terms | self.guidance(maps, targets, images.shape[2])

    def labels_of(self, targets: Any) -> Tensor:
        """Return the classes (B,) of what the objective learns from: here all of it."""
        labels: Tensor = targets
        return labels

    def guidance(self, maps: GuidedMaps, targets: Any, size: int) -> dict[str, Tensor]:
        """Return the losses of the branches, with all maps at `size` x `size`."""
        branches = {"b2": maps.b2, "b1": maps.b1, "c": maps.c}
        logits = {name: self.upsample(m, size) for name, m in branches.items() if m is not None}
        masks = self.taught(maps, targets, size)
        return {name: self.cross_entropy(own, masks[name]) for name, own in logits.items()}

    def taught(self, maps: GuidedMaps, targets: Any, size: int) -> dict[str, Tensor]:
        """Return the masks (B, size, size) that teach each branch (SPG Algorithm 1)."""
        labels = self.labels_of(targets)
        chosen = maps.attention[torch.arange(len(labels)), labels].detach()
        p1, p2 = (torch.sigmoid(self.upsample(b.detach(), size)) for b in (maps.b1, maps.b2))
        seeds = self.masks(normalise_maps(self.upsample(chosen, size)), self.params)
        b1 = self.masks(p2, self.params.b1) if self.params.cascade else seeds
        masks = {"b2": seeds, "b1": b1}
        return masks if maps.c is None else masks | {"c": self.masks((p1 + p2) / 2, self.params.c)}

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


def _watched(
    objective: SelfProducedGuidanceObjective, split: PackedSplit, params: Params
) -> dict[str, float]:
    """Return the quality of the masks that teach each branch; see `mask_quality`."""

    device = next(objective.parameters()).device

    def masks(images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        maps = objective.network.guided(images.to(device))
        return objective.taught(maps, targets.to(device), images.shape[2])

    return mask_quality(masks, split, params.input.size, params.spg.train.batch_size)


KEYS = (
    "spg.channels",
    "spg.guidance_channels",
    "spg.share_b",
    "spg.with_c",
    "spg.c_convolutions",
)
"""Keys of params.yaml that decide SPG's network."""

METHOD = Method(
    network=lambda backbone, classes, params: SelfProducedGuidance(backbone, classes, params.spg),
    objective=lambda network, params: SelfProducedGuidanceObjective(
        cast(SelfProducedGuidance, network), params.spg, params.input
    ),
    schedule=lambda params, track: params.spg.train,
    sections=("spg",),
    keys=KEYS,
    watch=lambda objective, split, folder, params, epoch: _watched(
        cast(SelfProducedGuidanceObjective, objective), split, params
    ),
)

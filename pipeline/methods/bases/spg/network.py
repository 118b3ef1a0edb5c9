"""Self-produced Guidance (SPG, ECCV 2018)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.methods.bases.spg_plain import SpgPlain, convolution
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization
from pipeline.params import SpgParams


@dataclass(frozen=True)
class GuidedMaps:
    """Maps of a training pass: `attention` (B, C, h, w); logits (B, h, w) of B1, B2 and C."""

    attention: Tensor
    b1: Tensor
    b2: Tensor
    c: Tensor | None


class SelfProducedGuidance(SpgPlain):
    """SPG-plain with branches B1, B2 on earlier features and C on A's last (SPG Fig. 2).

    B1 reads the stride-8 stage of the backbone and B2 the stage after it; their second and third
    layers are shared unless `share_b` is off. `with_c` off leaves branch C out (SPG Sec. 4.3).
    """

    def __init__(self, backbone: Backbone, classes: int, params: SpgParams) -> None:
        super().__init__(backbone, classes, params)
        self.stage = _stride_8_stage(backbone)
        width = params.guidance_channels
        self.b1 = convolution(backbone.channels[self.stage], width)
        self.b2 = convolution(backbone.channels[self.stage + 1], width)
        # One tail serves both branches when they share it.
        self.tails = nn.ModuleList(self._tail(width) for _ in range(1 if params.share_b else 2))
        self.c = (
            nn.Sequential(
                convolution(params.channels, width),
                *(convolution(width, width) for _ in range(1, params.c_convolutions)),
                _output(width),
            )
            if params.with_c
            else None
        )

    @staticmethod
    def _tail(width: int) -> nn.Sequential:
        return nn.Sequential(convolution(width, width), _output(width))

    def guided(self, images: Tensor, detached: bool = False) -> GuidedMaps:
        """Return every branch's map for images (B, 3, S, S) uint8.

        Where the branches are `detached`, no gradient of theirs reaches what the attention is of.
        """
        stages = self.backbone(images)
        features = self.a(stages[-1])
        attention = self.a4(features)
        if detached:
            stages, features = [each.detach() for each in stages], features.detach()
        return GuidedMaps(
            attention=attention,
            b1=self.tails[0](self.b1(stages[self.stage])).squeeze(1),
            b2=self.tails[-1](self.b2(stages[self.stage + 1])).squeeze(1),
            c=None if self.c is None else self.c(features).squeeze(1),
        )

    def localize(self, images: Tensor) -> Localization:
        """Return scores, attention maps, and the branches' maps in [0, 1] (SPG Fig. 4)."""
        maps = self.guided(images)
        branches = {"b2": maps.b2, "b1": maps.b1, "c": maps.c}
        guidance = {name: torch.sigmoid(m) for name, m in branches.items() if m is not None}
        return Localization(maps.attention.mean((2, 3)), maps.attention, guidance=guidance)


def _output(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, 1, 1)


def _stride_8_stage(backbone: Backbone) -> int:
    """Return the index of the backbone's stride-8 stage; a stage must follow it."""
    if 8 not in backbone.strides[:-1]:
        raise InputError(
            f"backbone: SPG needs a stride-8 stage before the last, got strides {backbone.strides}"
        )
    return backbone.strides.index(8)

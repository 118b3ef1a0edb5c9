"""SPG with branch C taught by true boxes: what the best guidance of C could do for the attention.

An oracle, never a result: it is trained with what the methods are to find.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.methods.bases.spg.guidance import FOREGROUND
from pipeline.methods.bases.spg.network import GuidedMaps, SelfProducedGuidance
from pipeline.methods.bases.spg.objective import KEYS, SelfProducedGuidanceObjective
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Method
from pipeline.packed.pictures import Annotate, Window, inside_boxes, target_of
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params


class Taught(NamedTuple):
    """What the oracle learns from: classes (B,), and masks (B, S, S) uint8 of their boxes."""

    labels: Tensor
    masks: Tensor


class Oracle(SelfProducedGuidanceObjective):
    """SPG's objective, but that the boxes are C's foreground and all else its background."""

    def labels_of(self, targets: Taught) -> Tensor:
        return targets.labels

    def taught(self, maps: GuidedMaps, targets: Taught, size: int) -> dict[str, Tensor]:
        return super().taught(maps, targets, size) | {"c": targets.masks}


def boxes_and_classes(split: PackedSplit, params: Params) -> Annotate:
    """Return what the oracle learns from; InputError names an image without a box."""
    size = params.input.size

    def taught(index: int, record: Record, window: Window) -> Taught:
        if not len(record.boxes_xyxy):
            raise InputError(
                f"image {record.id} of {split.name}: it has no box, which spg_oracle learns from; "
                "take spg_oracle off the list methods of params.yaml"
            )
        mask = inside_boxes(record, window, size).to(torch.uint8) * FOREGROUND
        return Taught(target_of(record.labels, len(split.classes), "single"), mask)

    return taught


def network(backbone: Backbone, classes: int, params: Params) -> SelfProducedGuidance:
    """Return SPG's network; InputError: it has no branch C."""
    if not params.spg.with_c:
        raise InputError("spg.with_c: false leaves out branch C, which spg_oracle teaches")
    return SelfProducedGuidance(backbone, classes, params.spg)


METHOD = Method(
    network=network,
    objective=lambda network, params: Oracle(
        cast(SelfProducedGuidance, network), params.spg, params.input
    ),
    schedule=lambda params, track: params.spg.train,
    sections=("spg",),
    keys=KEYS,
    targets=lambda split, folder, params: boxes_and_classes(split, params),
)

"""The region proposal network of Faster R-CNN: boxes of objects of any class, learnt from boxes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)

from pipeline.errors import InputError
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Method
from pipeline.packed.loading import loader
from pipeline.packed.pictures import WholeImages, Window
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params

ANCHOR_SIDES = (0.1, 0.2, 0.4, 0.8)
"""As shares of the image's side; in Faster R-CNN 128, 256 and 512 of 600 px, the last three."""
ASPECT_RATIOS = (0.5, 1.0, 2.0)
BEFORE_SUPPRESSION, AFTER_SUPPRESSION = 6000, 2000


class RegionProposer(nn.Module):
    """A head on the backbone's last map that tells how to make objects of a grid of anchors.

    The parts are torchvision's, the numbers those of Faster R-CNN (Ren et al., NIPS 2015, Sec. 3).
    Anchors with IoU >= 0.7, and the best of each object, learn to be objects, those below 0.3
    background; 256 of an image are drawn, half of them objects if there are so many. A proposal
    whose IoU with a better one exceeds 0.7 is dropped. The head is as wide as the map.
    """

    def __init__(self, backbone: Backbone, size: int) -> None:
        """Build the network for images of `size` x `size` px, which the anchors are made for."""
        super().__init__()
        self.backbone = backbone
        sides = tuple(max(1, round(share * size)) for share in ANCHOR_SIDES)
        anchors = AnchorGenerator((sides,), (ASPECT_RATIOS,))
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(backbone.channels[-1], anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": BEFORE_SUPPRESSION, "testing": BEFORE_SUPPRESSION},
            post_nms_top_n={"training": AFTER_SUPPRESSION, "testing": AFTER_SUPPRESSION},
            nms_thresh=0.7,
        )

    def losses(self, images: Tensor, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the losses `objectness` and `box_regression`, scalars.

        Args:
            images: (B, 3, S, S) uint8.
            boxes: for each image its objects (n, 4), none empty, as shares of its sides. An image
                without objects is all background.
        """
        side = images.shape[-1]
        anchors, objectness, offsets = self._predictions(images)
        labels, matched = self.rpn.assign_targets_to_anchors(
            anchors, [{"boxes": each * side} for each in boxes]
        )
        targets = self.rpn.box_coder.encode(matched, anchors)
        losses = self.rpn.compute_loss(objectness, offsets, labels, targets)
        return dict(zip(("objectness", "box_regression"), losses, strict=True))

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return for each image boxes (n, 4) and their objectness (n,), best first.

        Float32 [x0, y0, x1, y1) as shares of the picture's sides, within [0, 1]; probabilities.
        """
        side = images.shape[-1]
        anchors, objectness, offsets = self._predictions(images)
        boxes = self.rpn.box_coder.decode(offsets, anchors).view(len(images), -1, 4)
        sizes, counts = [(side, side)] * len(images), [len(anchors[0])]
        kept, scores = self.rpn.filter_proposals(boxes, objectness, sizes, counts)
        return [(b / side, s) for b, s in zip(kept, scores, strict=True)]

    @torch.inference_mode()
    def propose(self, split: PackedSplit, params: Params) -> Iterator[Proposals]:
        """Yield the `rpn.boxes` best proposals of each image of `split`, in order.

        Scores are probabilities of an object; boxes lie within the picture.
        """
        images = WholeImages(split, params.input.size)
        device = next(self.parameters()).device
        records = iter(split)
        for batch in loader(images, params.evaluate.batch_size):
            for boxes, scores in self(batch.to(device)):
                record, best = next(records), slice(params.rpn.boxes)
                sides = np.array([record.width, record.height] * 2, np.float32)
                boxes_xyxy = boxes[best].cpu().numpy() * sides
                yield Proposals(record.id, split.split, boxes_xyxy, scores[best].cpu().numpy())

    def _predictions(self, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return each image's A anchors (A, 4) in px, and (B * A, 1) logits, (B * A, 4) offsets."""
        features = [self.backbone(images)[-1]]
        batch = ImageList(images, [tuple(images.shape[2:])] * len(images))
        logits, offsets = concat_box_prediction_layers(*self.rpn.head(features))
        return self.rpn.anchor_generator(batch, features), logits, offsets


MOST_OBJECTS = 128
"""Of an image with more objects the first ones are learnt."""


class Objects(NamedTuple):
    """Objects of images: boxes (B, N, 4) as shares of the input's sides; (B, N), False: padding."""

    boxes: Tensor
    present: Tensor


def objects_of(index: int, record: Record, window: Window) -> Objects:
    """Return the objects of all classes that the window shows.

    Objects that are `difficult` are among them, as they are in Object Energy (SPN Table 1).
    """
    boxes = window.boxes(record.boxes_xyxy[:MOST_OBJECTS], record.width, record.height)
    present = (boxes[:, 2:] > boxes[:, :2]).all(1)
    padding = MOST_OBJECTS - len(boxes)
    return Objects(F.pad(boxes, (0, 0, 0, padding)), F.pad(present, (0, padding)))


class RegionProposal(nn.Module):
    """Log loss of objectness plus smooth L1 loss of boxes (Faster R-CNN, Eq. 1)."""

    def __init__(self, network: RegionProposer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Objects, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch."""
        boxes = [each[here] for each, here in zip(targets.boxes, targets.present, strict=True)]
        return self.network.losses(images, boxes)


def refuse_unknown_boxes(folder: Path, splits: Mapping[str, PackedSplit], params: Params) -> None:
    """Raise InputError if a training image has a label and no box: it would count as background."""
    bare = sum(bool(record.labels) and not len(record.boxes_xyxy) for record in splits["train"])
    if bare:
        raise InputError(
            f"rpn is trained with boxes, and {bare} of {len(splits['train'])} training images have "
            "none; annotate them, or take rpn off the list `methods` of params.yaml"
        )


METHOD = Method(
    network=lambda backbone, classes, params: RegionProposer(backbone, params.input.size),
    objective=lambda network, params: RegionProposal(cast(RegionProposer, network)),
    schedule=lambda params, track: params.rpn.train,
    sections=("rpn",),
    prepare=refuse_unknown_boxes,
    targets=lambda split, folder, params: objects_of,
)

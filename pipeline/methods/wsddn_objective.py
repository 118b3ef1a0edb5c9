"""What WSDDN learns from, and its objective (Bilen and Vedaldi, CVPR 2016)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import InputError
from pipeline.methods.bases.proposals import Proposals
from pipeline.methods.wsddn import Regions, WeaklySupervisedDetector
from pipeline.packed.pictures import Window
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.training.batches import ClassTargets


def candidates(
    proposals: Proposals, record: Record, limit: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the best `limit` proposals of an image, boxes (n, 4) in its px and scores (n,).

    Of an image without proposals it is the whole picture, n = 1. Scores are shares of the best.

    Raises:
        InputError: the proposals are those of another image.
    """
    if proposals.id != record.id:
        raise InputError(
            f"proposals of image {proposals.id} where those of {record.id} are expected; "
            "run `dvc repro -f propose@edge_boxes`"
        )
    boxes, scores = proposals.boxes_xyxy[:limit], proposals.scores[:limit]
    if not len(boxes):
        return np.array([[0, 0, record.width, record.height]], np.float32), np.ones(1, np.float32)
    return boxes, scores / scores[0] if scores[0] > 0 else np.ones_like(scores)


def regions_of(proposals: Proposals, record: Record, window: Window, limit: int) -> Regions:
    """Return the `candidates` of an image as seen through `window`, in their order.

    Those outside of the window are no more present than the padding at the end is; if all are, the
    first is the whole window instead. Raises InputError as `candidates` does.
    """
    boxes_xyxy, scores = candidates(proposals, record, limit)
    boxes = window.boxes(boxes_xyxy, record.width, record.height)
    present = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if not present.any():
        boxes[0], present[0] = torch.tensor([0.0, 0.0, 1.0, 1.0]), True
    padding = limit - len(boxes)
    return Regions(
        F.pad(boxes, (0, 0, 0, padding)),
        F.pad(torch.from_numpy(scores), (0, padding)),
        F.pad(present, (0, padding)),
    )


class RegionTargets(NamedTuple):
    """What WSDDN learns from: labels (B, C) in {0, 1}, and the regions that may hold them."""

    labels: Tensor
    regions: Regions


class RegionAnnotation:
    """Gives the `RegionTargets` of each record of a multi-label split, from its proposals."""

    def __init__(self, split: PackedSplit, proposals: Sequence[Proposals], limit: int) -> None:
        """Raise InputError for proposals of another number of images."""
        if len(proposals) != len(split):
            raise InputError(
                f"proposals of {len(proposals)} images for the {len(split)} of {split.name} "
                f"({split.split}); run `dvc repro -f propose@edge_boxes`"
            )
        self.labels, self.proposals, self.limit = ClassTargets(split), proposals, limit

    def __call__(self, index: int, record: Record, window: Window) -> RegionTargets:
        regions = regions_of(self.proposals[index], record, window, self.limit)
        return RegionTargets(self.labels(index, record, window), regions)


class RegionClassification(nn.Module):
    """The log loss of the classes' probabilities in an image, summed over classes (Sec. 3.3)."""

    def __init__(self, network: WeaklySupervisedDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: RegionTargets, epoch: int) -> dict[str, Tensor]:
        """Return the loss term of a batch, the mean over its images."""
        probabilities = self.network(images, targets.regions).sum(1)
        return {"classification": log_loss(probabilities, targets.labels)}


def log_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the binary log loss of probabilities (B, C), summed over C, the mean over B.

    It is finite: a logarithm counts -100 at least.
    """
    # A sum of products of softmax can exceed 1 by rounding.
    losses = F.binary_cross_entropy(probabilities.clamp(max=1), labels, reduction="none")
    return losses.sum(1).mean()

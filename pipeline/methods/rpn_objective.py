"""What the region proposal network learns from, and its objective."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.methods.rpn import RegionProposer
from pipeline.packed.pictures import Window
from pipeline.packed.record import Record

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

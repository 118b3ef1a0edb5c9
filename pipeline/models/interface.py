"""What every network gives to the evaluation."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Localization:
    """Scores and maps of a batch, at the network's own resolution.

    Attributes:
        logits: (B, C) class scores before softmax or sigmoid.
        response_maps: (B, C, h, w) evidence for each class, unbounded.
        proposal_maps: (B, h, w), each with sum 1; SPN only.
        guidance: maps in [0, 1] by the name of their branch, (B, h, w); SPG only.
    """

    logits: Tensor
    response_maps: Tensor
    proposal_maps: Tensor | None = None
    guidance: dict[str, Tensor] = field(default_factory=dict)


class Localizer(Protocol):
    """A network that classifies and localizes."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 3, S, S) uint8."""

    def localize(self, images: Tensor) -> Localization:
        """Return scores and maps of images (B, 3, S, S) uint8."""

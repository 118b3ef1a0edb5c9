"""The classification objective."""

from torch import Tensor, nn
from torch.nn import functional as F


def classification_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy for class indices (B,), multi-label soft-margin loss for (B, C)."""
    if targets.dim() == 1:
        return F.cross_entropy(logits, targets)
    return F.multilabel_soft_margin_loss(logits, targets)


class Classification(nn.Module):
    """The objective of every network but SPG: cross-entropy or multi-label soft-margin loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch in `epoch` (from 0)."""
        return {"classification": classification_loss(self.network(images), targets)}

"""The objective of Adversarial Complementary Learning (ACoL Sec. 3.2)."""

from torch import Tensor, nn

from pipeline.methods.acol import ComplementaryNetwork
from pipeline.models.losses import classification_loss


class ComplementaryObjective(nn.Module):
    """Cross-entropy of both classifiers, where B does not see what A finds of the true class."""

    def __init__(self, network: ComplementaryNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch in `epoch` (from 0)."""
        maps = self.network.complementary(images, targets)
        return {
            "classification": classification_loss(maps.a.mean((2, 3)), targets),
            "complementary": classification_loss(maps.b.mean((2, 3)), targets),
        }

"""Hide-and-Seek: training images with hidden patches (HaS, Singh and Lee, ICCV 2017, Sec. 3.1)."""

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.methods.bases.cam import KEYS, ClassActivationNetwork
from pipeline.models.interface import Method
from pipeline.models.losses import classification_loss
from pipeline.params import HasParams


class HideAndSeek(nn.Module):
    """The classification objective on images whose patches are hidden at random.

    Like dropout it draws from torch's generator, which is seeded and part of the checkpoints.
    Tests show the whole image.
    """

    def __init__(self, network: ClassActivationNetwork, params: HasParams) -> None:
        super().__init__()
        self.network, self.params = network, params

    def forward(self, images: Tensor, targets: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the named loss terms, scalars to be summed, of a batch in `epoch` (from 0)."""
        hidden = hidden_pixels(images, self.params)
        # The mean of the data the network was first trained on, which it takes for 0: in the middle
        # of a hidden patch the first layer then answers as it does on average (HaS Sec. 3.1).
        seen = torch.where(hidden[:, None], self.network.backbone.normalise.mean, images)
        return {"classification": classification_loss(self.network(seen), targets)}


def hidden_pixels(images: Tensor, params: HasParams) -> Tensor:
    """Draw which pixels of images (B, 3, S, S) are hidden, (B, S, S) bool.

    Squares of `patch` px from the upper left corner on, each hidden with `probability` for itself;
    those at the right and lower border are cut off by it, as in the released code. A patch as large
    as the image hides it whole.
    """
    side = images.shape[-1]
    cells = -(-side // params.patch)
    drawn = torch.rand(len(images), cells, cells, device=images.device) < params.probability
    pixels = drawn.repeat_interleave(params.patch, 1).repeat_interleave(params.patch, 2)
    return pixels[:, :side, :side]


METHOD = Method(
    network=lambda backbone, classes, params: ClassActivationNetwork(backbone, classes, params.spn),
    objective=lambda network, params: HideAndSeek(
        cast(ClassActivationNetwork, network), params.has
    ),
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn", "has"),
    keys=KEYS,
)

"""SPG-plain: the twin that SPG is compared with, the classifier SPG-A without guidance."""

from torch import Tensor, nn

from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization, Method
from pipeline.params import SpgParams


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 convolution that keeps the resolution, with ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class SpgPlain(nn.Module):
    """Backbone and SPG-A: two 3x3 convolutions, 1x1 to the classes, average (SPG Sec. 3.3)."""

    def __init__(self, backbone: Backbone, classes: int, params: SpgParams) -> None:
        super().__init__()
        self.backbone = backbone
        self.a = nn.Sequential(
            convolution(backbone.channels[-1], params.channels),
            convolution(params.channels, params.channels),
        )
        self.a4 = nn.Conv2d(params.channels, classes, 1)

    def features(self, images: Tensor) -> Tensor:
        """Return what A reads of images (B, 3, S, S) uint8: the backbone's last map."""
        last: Tensor = self.backbone(images)[-1]
        return last

    def forward(self, images: Tensor) -> Tensor:
        attention: Tensor = self.a4(self.a(self.features(images)))
        return attention.mean((2, 3))

    def localize(self, images: Tensor) -> Localization:
        """Return scores and the attention maps, which are A4's output (SPG Sec. 3.1)."""
        attention = self.a4(self.a(self.features(images)))
        return Localization(attention.mean((2, 3)), attention)


METHOD = Method(
    network=lambda backbone, classes, params: SpgPlain(backbone, classes, params.spg),
    schedule=lambda params, track: params.spg.train,
    sections=("spg",),
    keys=("spg.channels",),
)

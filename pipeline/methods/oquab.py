"""Global max pooling over class maps (Oquab et al., CVPR 2015)."""

from torch import Tensor
from torch.nn import functional as F

from pipeline.methods.bases.cam import KEYS, ClassActivationNetwork
from pipeline.models.interface import Localization, Method


class MaxPoolingNetwork(ClassActivationNetwork):
    """The class activation network, but each class scores where it scores best (Oquab Sec. 3).

    Dropout and linear layer stand before the pooling, at every cell; the weights are those of the
    class activation network, and so are the first ones.
    """

    def forward(self, images: Tensor) -> Tensor:
        return pool(self._class_maps(self.dropout(self.features(images))))

    def localize(self, images: Tensor) -> Localization:
        """Return scores and the class maps whose maxima they are."""
        maps = self._class_maps(self.features(images))
        return Localization(pool(maps), maps)

    def _class_maps(self, features: Tensor) -> Tensor:
        """Return the scores (B, C, h, w) of the linear layer at each cell."""
        return F.conv2d(features, self.classifier.weight[:, :, None, None], self.classifier.bias)


def pool(maps: Tensor) -> Tensor:
    """Return the maxima (B, C) of maps (B, C, h, w); the gradient goes to one cell of each map."""
    return maps.flatten(2).max(2).values


METHOD = Method(
    network=lambda backbone, classes, params: MaxPoolingNetwork(backbone, classes, params.spn),
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn", "oquab"),
    keys=KEYS,
)

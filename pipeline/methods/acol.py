"""Adversarial Complementary Learning (ACoL, Zhang et al., CVPR 2018)."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.methods.bases.spg_plain import SpgPlain, convolution
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Localization, Method
from pipeline.models.losses import classification_loss
from pipeline.models.maps import normalise_maps
from pipeline.params import AcolParams, SpgParams


class ComplementaryMaps(NamedTuple):
    """Class maps (B, C, h, w) of the classifiers A and B, unbounded."""

    a: Tensor
    b: Tensor


class ComplementaryNetwork(SpgPlain):
    """Backbone and two classifiers alike: B sees what A's map of the class leaves (ACoL Sec. 3.2).

    A is SPG-plain, and starts from the same weights. Class scores are those of A alone, as in the
    release (github.com/xiaomengyc/ACoL, exper/val_frame.py).
    """

    def __init__(
        self, backbone: Backbone, classes: int, params: SpgParams, erasing: AcolParams
    ) -> None:
        super().__init__(backbone, classes, params)
        self.b = nn.Sequential(
            convolution(backbone.channels[-1], params.channels),
            convolution(params.channels, params.channels),
        )
        self.b4 = nn.Conv2d(params.channels, classes, 1)
        self.erase_above = erasing.erase_above
        self.smooth = nn.AvgPool2d(erasing.pooling, stride=1, padding=erasing.pooling // 2)

    def features(self, images: Tensor) -> Tensor:
        """Return what both classifiers read: the backbone's last map, averaged by `pooling`."""
        smoothed: Tensor = self.smooth(super().features(images))
        return smoothed

    def complementary(self, images: Tensor, targets: Tensor | None = None) -> ComplementaryMaps:
        """Return both classifiers' maps of images (B, 3, S, S) uint8.

        Args:
            targets: (B,) the class of each image whose map in A tells what B does not see; without
                them A's best class, of equal ones the first.
        """
        features = self.features(images)
        a = self.a4(self.a(features))
        chosen = a.mean((2, 3)).argmax(1) if targets is None else targets
        attention = a[torch.arange(a.shape[0]), chosen]
        return ComplementaryMaps(a, self.b4(self.b(erase(features, attention, self.erase_above))))

    def localize(self, images: Tensor) -> Localization:
        """Return A's scores and, cell by cell, the larger of A's and B's maps scaled to [0, 1].

        One pass gives B's maps of all classes: of what A's best class leaves. The release erases
        the label's region instead, which a test must not know.
        """
        maps = self.complementary(images)
        return Localization(maps.a.mean((2, 3)), torch.maximum(*map(_normalise, maps)))


def erase(features: Tensor, attention: Tensor, above: float) -> Tensor:
    """Return features (B, K, h, w) with 0 where the map (B, h, w), scaled to [0, 1], is > `above`.

    A constant map erases nothing. No gradient passes through the map.
    """
    kept = normalise_maps(attention) <= above
    return features * kept[:, None]


def _normalise(maps: Tensor) -> Tensor:
    """Scale each map of (B, C, h, w) to [0, 1]."""
    return normalise_maps(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])


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


METHOD = Method(
    network=lambda backbone, classes, params: ComplementaryNetwork(
        backbone, classes, params.spg, params.acol
    ),
    objective=lambda network, params: ComplementaryObjective(cast(ComplementaryNetwork, network)),
    schedule=lambda params, track: params.spg.train,
    sections=("spg", "acol"),
    keys=("spg.channels", "acol"),
)

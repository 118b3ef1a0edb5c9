"""Weakly Supervised Deep Detection Network (Bilen and Vedaldi, CVPR 2016)."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from pipeline.models.backbones import Backbone
from pipeline.models.weights import load_weights
from pipeline.params import Params, WsddnParams

SAMPLES = 2
"""Points a side at which the map is read in each cell of a pooled region."""


class Regions(NamedTuple):
    """Regions of images, padded to R of each; of one image without the first dimension.

    Attributes:
        boxes: (B, R, 4) float32 [x0, y0, x1, y1) as shares of the input's sides, in [0, 1].
        scores: (B, R) float32 in [0, 1], that of the best proposal of an image 1.
        present: (B, R) bool; False for padding.
    """

    boxes: Tensor
    scores: Tensor
    present: Tensor


class WeaklySupervisedDetector(nn.Module):
    """Backbone, pooled regions, two layers, and a stream each for "what" and "where" (Sec. 3.2).

    Pooled features are multiplied by the proposals' scores (the paper's "Box Sc."). Regions are
    pooled by RoIAlign: RoI pooling, the paper's, rounds them to whole cells of the map, which
    makes many regions of a small input the same.
    """

    def __init__(self, backbone: Backbone, classes: int, params: WsddnParams) -> None:
        super().__init__()
        self.backbone, self.grid = backbone, params.grid
        self.layers = nn.Sequential(
            nn.Linear(backbone.channels[-1] * params.grid**2, params.hidden),
            nn.ReLU(),
            nn.Linear(params.hidden, params.hidden),
            nn.ReLU(),
        )
        self.classification = nn.Linear(params.hidden, classes)
        self.detection = nn.Linear(params.hidden, classes)

    def forward(self, images: Tensor, regions: Regions) -> Tensor:
        """Return the scores (B, R, C) in [0, 1] of regions of images (B, 3, S, S) uint8.

        Softmax over the classes times softmax over the regions (Eq. 1 and 2); summed over the
        regions they are the probabilities of the classes in the image. Padding scores 0 and has
        no influence: without any region all probabilities are 0.
        """
        hidden = self.layers(self._pooled(self.backbone(images)[-1], regions))
        what = self._padded(self.classification(hidden), regions.present).softmax(2)
        where = self._padded(self.detection(hidden), regions.present).softmax(1)
        return what * where * regions.present[:, :, None]

    def _pooled(self, features: Tensor, regions: Regions) -> Tensor:
        """Return the features (n, K * grid * grid) of the regions that are no padding."""
        height, width = features.shape[2:]
        cells = regions.boxes * regions.boxes.new_tensor([width, height, width, height])
        boxes = [each[present] for each, present in zip(cells, regions.present, strict=True)]
        pooled = roi_align(features, boxes, self.grid, 1.0, SAMPLES, aligned=True)
        return pooled.flatten(1) * regions.scores[regions.present][:, None]

    def _padded(self, logits: Tensor, present: Tensor) -> Tensor:
        """Return (B, R, C) of the logits (n, C) of regions that are no padding."""
        padded = logits.new_full((*present.shape, logits.shape[1]), torch.finfo(logits.dtype).min)
        padded[present] = logits
        return padded


def trained(params: Params, classes: int, weights: Path) -> WeaklySupervisedDetector:
    """Return the network for `classes` with its trained weights, in evaluation mode.

    Raises:
        InputError: the weights are missing, damaged, or of another network.
    """
    network = WeaklySupervisedDetector(Backbone(params.backbone), classes, params.wsddn)
    load_weights(network, weights, "train_wsddn")
    return network.eval()

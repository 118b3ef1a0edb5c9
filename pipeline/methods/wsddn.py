"""Weakly Supervised Deep Detection Network (Bilen and Vedaldi, CVPR 2016)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision.ops import roi_align

from pipeline.errors import InputError
from pipeline.methods.bases.edge_boxes import edge_boxes
from pipeline.methods.bases.search import search
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Method
from pipeline.packed.loading import loader
from pipeline.packed.pictures import ClassTargets, Window, to_tensor, warp
from pipeline.packed.proposals import Proposals, StoredProposals, write_proposals
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, WsddnParams

PROPOSALS = "proposals.arrow"
"""EdgeBoxes of all images, in the model's folder."""

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

    @torch.inference_mode()
    def detect(self, split: PackedSplit, folder: Path, params: Params) -> Iterator[Proposals]:
        """Yield the best box of each class of each image of `split`, in order.

        Boxes (C, 4) are the proposals that score highest for each class, of equal ones the better
        proposal; in an image without proposals all are the whole picture. Scores (C,) are the
        probabilities of the classes in the image.

        Raises:
            InputError: the proposals in `folder` are not those of the split's images, or a score is
                not finite; the message names the image.
        """
        proposals, limit = StoredProposals(folder / PROPOSALS, split.split), params.wsddn.boxes
        _refuse_foreign(split, split.total, proposals)
        images = _WholeImages(split, params.input.size, proposals, limit)
        device, index = next(self.parameters()).device, 0
        for batch, found in loader(images, params.evaluate.batch_size):
            regions = Regions(*(each.to(device) for each in found))
            for scores in self(batch.to(device), regions).float().cpu().numpy():
                record = split[index]
                boxes_xyxy, _ = candidates(proposals[split.rows[index]], record, limit)
                yield _detection(record, split.split, scores, boxes_xyxy)
                index += 1


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
            "run `dvc repro -f train_method@wsddn`"
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
        _refuse_foreign(split, len(split), proposals)
        self.labels, self.proposals, self.limit = ClassTargets(split), proposals, limit

    def __call__(self, index: int, record: Record, window: Window) -> RegionTargets:
        regions = regions_of(self.proposals[index], record, window, self.limit)
        return RegionTargets(self.labels(index, record, window), regions)


def _refuse_foreign(split: PackedSplit, images: int, proposals: Sequence[Proposals]) -> None:
    if len(proposals) != images:
        raise InputError(
            f"proposals of {len(proposals)} images for the {images} of {split.name} "
            f"({split.split}); run `dvc repro -f train_method@wsddn`"
        )


class _WholeImages(Dataset[tuple[Tensor, Regions]]):
    """Each image warped to the network's input, (3, S, S) uint8, with its regions."""

    def __init__(
        self, split: PackedSplit, size: int, proposals: Sequence[Proposals], limit: int
    ) -> None:
        self.split, self.size, self.proposals, self.limit = split, size, proposals, limit

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Regions]:
        record = self.split[index]
        image = to_tensor(warp(record.image, self.size))
        proposals = self.proposals[self.split.rows[index]]
        return image, regions_of(proposals, record, Window(), self.limit)


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


def _detection(
    record: Record, split: str, scores: NDArray[np.float32], boxes_xyxy: NDArray[np.float32]
) -> Proposals:
    """Return the detection of an image from the scores (R, C) of its regions, padding last."""
    if not np.isfinite(scores).all():
        raise InputError(
            f"image {record.id}: the detector gives values that are not finite; its weights are "
            "damaged or diverged: train it again at lower learning rates"
        )
    return Proposals(record.id, split, boxes_xyxy[scores.argmax(axis=0)], scores.sum(axis=0))


def _propose(folder: Path, splits: Mapping[str, PackedSplit], params: Params) -> None:
    """Write the EdgeBoxes of all images."""
    method = partial(edge_boxes, limit=params.edge_boxes.boxes)
    found = (search(split, method) for split in splits.values())
    write_proposals(folder / PROPOSALS, chain.from_iterable(found))


METHOD = Method(
    network=lambda backbone, classes, params: WeaklySupervisedDetector(
        backbone, classes, params.wsddn
    ),
    objective=lambda network, params: RegionClassification(cast(WeaklySupervisedDetector, network)),
    schedule=lambda params, track: params.wsddn.train,
    sections=("wsddn", "edge_boxes"),
    keys=("wsddn.grid", "wsddn.hidden"),
    prepare=_propose,
    targets=lambda split, folder, params: RegionAnnotation(
        split, StoredProposals(folder / PROPOSALS, split.split), params.wsddn.boxes
    ),
)

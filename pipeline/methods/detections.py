"""Running a trained detector on the proposals of a packed split: its best box of each class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import InputError
from pipeline.methods.bases.proposals import Proposals
from pipeline.methods.wsddn import Regions, WeaklySupervisedDetector
from pipeline.methods.wsddn_objective import RegionAnnotation, RegionTargets, candidates
from pipeline.packed.pictures import Window, to_tensor, warp
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.processes import loaders


@dataclass(frozen=True)
class Detection:
    """What a detector says of one image.

    Attributes:
        scores: (C,) probabilities of the classes.
        boxes_xyxy: (C, 4) the proposal that scores highest for each class, in px of the original
            picture; of equal ones the better proposal.
    """

    id: str
    scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float32]


class WholeImages(Dataset[tuple[Tensor, RegionTargets]]):
    """Each image warped to the network's input, (3, S, S) uint8, with its regions."""

    def __init__(self, split: PackedSplit, size: int, annotate: RegionAnnotation) -> None:
        self.split, self.size, self.annotate = split, size, annotate

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, RegionTargets]:
        record = self.split[index]
        image = to_tensor(warp(record.image, self.size))
        return image, self.annotate(index, record, Window())


@torch.inference_mode()
def detect(
    network: WeaklySupervisedDetector,
    split: PackedSplit,
    proposals: Sequence[Proposals],
    params: Params,
) -> Iterator[Detection]:
    """Yield the detection of each image of `split`, in order.

    In an image without proposals every class has the box of the whole picture.

    Raises:
        InputError: the proposals are not those of the split's images, or a score is not finite;
            the message names the image.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    limit = params.wsddn.boxes
    images = WholeImages(split, params.input.size, RegionAnnotation(split, proposals, limit))
    index = 0
    for batch, targets in DataLoader(images, params.evaluate.batch_size, num_workers=loaders()):
        regions = Regions(*(each.to(device) for each in targets.regions))
        for scores in network(batch.to(device), regions).float().cpu().numpy():
            record = split[index]
            boxes_xyxy, _ = candidates(proposals[index], record, limit)
            yield _detection(record, scores, boxes_xyxy)
            index += 1


def _detection(
    record: Record, scores: NDArray[np.float32], boxes_xyxy: NDArray[np.float32]
) -> Detection:
    """Return the detection of an image from the scores (R, C) of its regions, padding last."""
    if not np.isfinite(scores).all():
        raise InputError(
            f"image {record.id}: the detector gives values that are not finite; its weights are "
            "damaged or diverged: train it again at lower learning rates"
        )
    return Detection(record.id, scores.sum(axis=0), boxes_xyxy[scores.argmax(axis=0)])

"""Running a trained network over a packed split."""

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pipeline.datasets.record import Record
from pipeline.datasets.store import PackedSplit
from pipeline.errors import InputError
from pipeline.localization.predictions import Prediction
from pipeline.models.interface import Localization, Localizer
from pipeline.params import EvaluateParams, InputParams
from pipeline.training.batches import to_tensor, warp, workers

RANKED = 5
"""On the single-label track maps are kept for the true class and this many top ones."""


class WholeImages(Dataset[Tensor]):
    """Each image warped to the network's input, (3, S, S) uint8."""

    def __init__(self, split: PackedSplit, size: int) -> None:
        self.split, self.size = split, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Tensor:
        return to_tensor(warp(self.split[index].image, self.size))


class TenCrops(WholeImages):
    """Four corners and centre of the image warped to size + margin, and mirrored, (10, 3, S, S)."""

    def __init__(self, split: PackedSplit, params: InputParams) -> None:
        super().__init__(split, params.size)
        self.margin = params.margin

    def __getitem__(self, index: int) -> Tensor:
        full = to_tensor(warp(self.split[index].image, self.size + self.margin))
        far, middle = self.margin, self.margin // 2
        corners = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
        crops = torch.stack([full[:, y : y + self.size, x : x + self.size] for y, x in corners])
        return torch.cat([crops, crops.flip(3)])


@torch.inference_mode()
def predict(
    network: nn.Module, split: PackedSplit, params: InputParams, protocol: EvaluateParams
) -> Iterator[Prediction]:
    """Yield the prediction of each image of `split`, in order.

    Maps come from the whole image. On the single-label track scores are softmax probabilities,
    with `ten_crop` their mean over ten crops (SPG Sec. 3.3), and maps are kept for the label and
    the top classes; on the multi-label track scores are logits and maps are kept for all classes
    of test images, and for the labels of others, which is what CorLoc needs.

    Raises:
        InputError: a score or map is not finite; names the image.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    localizer = cast(Localizer, network)
    batch_size, many = protocol.batch_size, protocol.ten_crop and split.task == "single"
    loader = DataLoader(WholeImages(split, params.size), batch_size, num_workers=workers())
    scores = crop_scores(network, split, params, batch_size, device) if many else None
    index = 0
    for images in loader:
        found = localizer.localize(images.to(device))
        for row in range(len(images)):
            record = split[index]
            own = next(scores) if scores else own_scores(found.logits[row], split.task)
            yield _prediction(record, split, own, found, row)
            index += 1


def own_scores(logits: Tensor, task: str) -> Tensor:
    """Return softmax probabilities (C,) for task "single", the logits otherwise."""
    return logits.softmax(0) if task == "single" else logits


def crop_scores(
    network: nn.Module,
    split: PackedSplit,
    params: InputParams,
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield each image's mean softmax over ten crops, (C,)."""
    crops = DataLoader(TenCrops(split, params), max(1, batch_size // 10), num_workers=workers())
    for images in crops:
        probabilities = network(images.flatten(0, 1).to(device)).softmax(1)
        yield from probabilities.unflatten(0, (-1, 10)).mean(1)


def _prediction(
    record: Record, split: PackedSplit, scores: Tensor, found: Localization, row: int
) -> Prediction:
    classes = _kept_classes(record, scores, split)
    proposals = found.proposal_maps
    prediction = Prediction(
        id=record.id,
        split=split.split,
        scores=scores.float().cpu().numpy(),
        map_classes=classes.cpu().numpy(),
        maps=found.response_maps[row, classes].float().cpu().numpy(),
        proposal_map=None if proposals is None else proposals[row].float().cpu().numpy(),
        guidance={name: maps[row].float().cpu().numpy() for name, maps in found.guidance.items()},
    )
    if not (np.isfinite(prediction.scores).all() and np.isfinite(prediction.maps).all()):
        raise InputError(
            f"image {record.id} ({split.split}): the network gives values that are not finite; "
            "its weights are damaged or diverged: train it again at lower learning rates"
        )
    return prediction


def _kept_classes(record: Record, scores: Tensor, split: PackedSplit) -> Tensor:
    """Return the classes (k,) whose maps are kept, ascending."""
    if split.task == "multi":
        everything = torch.arange(len(scores))
        return everything if split.split == "test" else everything[list(record.labels)]
    best = scores.topk(min(RANKED, len(scores))).indices.tolist()
    return torch.tensor(sorted({*best, *record.labels}))

"""Running a trained network over a packed split."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import StackDataset

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.models.device import compute_device
from pipeline.models.interface import Localization, Localizer
from pipeline.packed.loading import loader
from pipeline.packed.pictures import WholeImages
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import EvaluateParams, InputParams

RANKED = 5
"""On the single-label track maps are kept for the true class and this many top ones."""

CROPS = 10
"""Views of an image that its class scores are averaged over: five crops, and each mirrored."""


def ten_crops(images: Tensor, size: int) -> Tensor:
    """Cut images (B, 3, F, F) into four corners and centre, and mirror them: (B, 10, 3, S, S)."""
    far = images.shape[-1] - size
    corners = [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
    crops = torch.stack([images[..., y : y + size, x : x + size] for y, x in corners], dim=1)
    return torch.cat([crops, crops.flip(4)], dim=1)


@torch.inference_mode()
def predict(
    network: nn.Module, split: PackedSplit, params: InputParams, protocol: EvaluateParams
) -> Iterator[Prediction]:
    """Yield the prediction of each image of `split`, in order.

    Maps come from the whole image. On the single-label track scores are softmax probabilities, of
    test images with `ten_crop` their mean over ten crops (SPG Sec. 3.3), and maps are kept for the
    label and the top classes; on the multi-label track scores are logits and maps are kept for all
    classes of test images, and for the labels of others, which is what CorLoc needs. These others
    have maps at the further input sizes of `scales` too, which CorLoc's oracle needs.

    Raises:
        InputError: a score or map is not finite; names the image.
    """
    device = compute_device()
    network = network.eval().to(device)
    localizer = cast(Localizer, network)
    many = protocol.ten_crop and (split.task, split.split) == ("single", "test")
    others = [params.size + params.margin] if many else further_sizes(split, params, protocol)
    # One loader for all sizes. Crops are cut on the device: they would take eight times the memory
    # on their way from the processes that decode.
    images = StackDataset(*(WholeImages(split, size) for size in (params.size, *others)))
    records = iter(split)
    for whole, *larger in loader(images, protocol.batch_size):
        found, further = localizer.localize(whole.to(device)), []
        if many:
            scores = crop_probabilities(network, larger[0].to(device), params.size)
        else:
            scores = own_scores(found.logits, split.task)
            further = [localizer.localize(size.to(device)).response_maps for size in larger]
        chosen = list(islice(records, len(whole)))
        yield from _predictions(chosen, split, scores, found, further)


def further_sizes(split: PackedSplit, params: InputParams, protocol: EvaluateParams) -> list[int]:
    """Return the input sizes, px, that images of a split are seen at besides the first."""
    if split.task == "single" or split.split == "test":
        return []
    return [round(scale * params.size) for scale in protocol.scales if scale != 1]


def own_scores(logits: Tensor, task: str) -> Tensor:
    """Return softmax probabilities (B, C) for task "single", the logits otherwise."""
    return logits.softmax(1) if task == "single" else logits


def crop_probabilities(network: nn.Module, images: Tensor, size: int) -> Tensor:
    """Return the mean softmax (B, C) over ten crops of images (B, 3, F, F).

    A pass takes the crops of a tenth of the images, and so about as much memory as whole images do.
    """
    parts = images.split(max(1, len(images) // CROPS))
    means = []
    for part in parts:
        probabilities = network(ten_crops(part, size).flatten(0, 1)).softmax(1)
        means.append(probabilities.unflatten(0, (-1, CROPS)).mean(1))
    return torch.cat(means)


def _predictions(
    records: list[Record],
    split: PackedSplit,
    scores: Tensor,
    found: Localization,
    further: list[Tensor],
) -> Iterator[Prediction]:
    """Yield the predictions of a batch, which leaves the device in one piece.

    `further` are response maps (B, C, h, w) at other input sizes.
    """
    kept = _kept_classes(records, scores, split)
    counts = [len(classes) for classes in kept]
    rows = torch.arange(len(kept)).repeat_interleave(torch.tensor(counts))
    classes = torch.tensor(list(chain(*kept)), dtype=torch.long)
    every = [
        np.split(
            _array(maps[rows.to(maps.device), classes.to(maps.device)]), np.cumsum(counts)[:-1]
        )
        for maps in (found.response_maps, *further)
    ]
    values = _array(scores)
    proposals = None if found.proposal_maps is None else _array(found.proposal_maps)
    guidance = {name: _array(branch) for name, branch in found.guidance.items()}
    for row, record in enumerate(records):
        prediction = Prediction(
            id=record.id,
            split=split.split,
            scores=values[row],
            map_classes=np.array(kept[row], dtype=np.int64),
            maps=every[0][row],
            proposal_map=None if proposals is None else proposals[row],
            guidance={name: branch[row] for name, branch in guidance.items()},
            further_maps=tuple(maps[row] for maps in every[1:]),
        )
        values_of = (prediction.scores, prediction.maps, *prediction.further_maps)
        if not all(np.isfinite(each).all() for each in values_of):
            raise InputError(
                f"image {record.id} ({split.split}): the network gives values that are not finite; "
                "its weights are damaged or diverged: train it again at lower learning rates"
            )
        yield prediction


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def _kept_classes(records: list[Record], scores: Tensor, split: PackedSplit) -> list[list[int]]:
    """Return the classes whose maps are kept, ascending, for each image of a batch."""
    count = scores.shape[1]
    if split.task == "multi":
        everything = split.split == "test"
        return [list(range(count)) if everything else list(record.labels) for record in records]
    best = scores.topk(min(RANKED, count)).indices.tolist()
    return [sorted({*top, *r.labels}) for top, r in zip(best, records, strict=True)]

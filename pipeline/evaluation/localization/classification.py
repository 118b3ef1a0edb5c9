"""Class probabilities of a classifier that has no maps."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import InputError
from pipeline.evaluation.localization.inference import crop_probabilities, own_scores
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.models.device import compute_device
from pipeline.packed.loading import loader
from pipeline.packed.pictures import WholeImages
from pipeline.packed.store import PackedSplit
from pipeline.params import EvaluateParams, InputParams


@torch.inference_mode()
def classify(
    network: nn.Module, split: PackedSplit, params: InputParams, protocol: EvaluateParams
) -> Iterator[Prediction]:
    """Yield the softmax probabilities of each image of `split`, in order, without any map.

    Args:
        network: images (B, 3, S, S) uint8 -> logits (B, C).
        split: of the single-label track.
        protocol: with `ten_crop` probabilities are means over ten crops, as in `predict`.

    Raises:
        InputError: a probability is not finite; names the image.
    """
    device = compute_device()
    network = network.eval().to(device)
    side = params.size + params.margin if protocol.ten_crop else params.size
    records = iter(split)
    for loaded in loader(WholeImages(split, side), protocol.batch_size):
        images = loaded.to(device)
        if protocol.ten_crop:
            scores = crop_probabilities(network, images, params.size)
        else:
            scores = own_scores(network(images), split.task)
        for row in scores.float().cpu().numpy():
            yield _prediction(next(records).id, split.split, row)


def _prediction(image: str, split: str, scores: NDArray[np.float32]) -> Prediction:
    if not np.isfinite(scores).all():
        raise InputError(
            f"image {image} ({split}): the classifier gives probabilities that are not finite; "
            "train it at lower learning rates (ranking.train)"
        )
    return Prediction(image, split, scores, np.zeros(0, np.int64), np.zeros((0, 1, 1), np.float32))

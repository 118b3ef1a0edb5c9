"""Gaussian smoothing of maps of single pixels, as the pointing game's benchmark has it."""

from dataclasses import replace
from math import ceil

import cv2
import numpy as np

from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.answer import Answer
from pipeline.packed.record import Record
from pipeline.params import SaliencyMethod

SMOOTHED: frozenset[SaliencyMethod] = frozenset(
    ("gradient", "deconvolution", "guided_backpropagation")
)
"""The methods whose maps are smoothed: those of TorchRay's benchmark that end at the pixels."""


def smooth(values: Map, share: float) -> Map:
    """Blur a (H, W) map by a Gaussian of `share` of its longer side.

    The Gaussian is cut off at four standard deviations, and the edge of the map is repeated beyond
    it, as in TorchRay (Fong, Patrick and Vedaldi, ICCV 2019).
    """
    sigma = share * max(values.shape)
    side = 2 * ceil(4 * sigma) + 1
    blurred = cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def smoothed(
    prediction: Prediction, record: Record, share: float, align_corners: bool
) -> Prediction:
    """Return a prediction whose maps are resized to the image and then smoothed.

    Raises:
        InputError: a map is not finite; names the image.
    """
    answer = Answer(prediction, record, align_corners)
    maps = [smooth(answer.at_image_size(values), share) for values in prediction.maps]
    return replace(prediction, maps=np.reshape(maps, (-1, record.height, record.width)))

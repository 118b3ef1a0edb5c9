"""What a network says of one image, seen at the size of the image."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.localization.maps import Map, resize_map
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.classification import label_ranks
from pipeline.evaluation.metrics.pointing import difficult_pairs, point_of_maximum
from pipeline.packed.record import Record


class Answer:
    """A prediction beside the record of its image; lives as long as the image is looked at.

    `align_corners` says how maps are resized (`input.align_corners`).
    """

    def __init__(self, prediction: Prediction, record: Record, align_corners: bool) -> None:
        self.prediction, self.record, self._align_corners = prediction, record, align_corners
        self._points: dict[int, tuple[int, int]] = {}

    def at_image_size(self, values: Map) -> Map:
        """Resize a map (h, w) to the image; InputError names the image if it is not finite."""
        try:
            height, width = self.record.height, self.record.width
            return resize_map(values, height, width, align_corners=self._align_corners)
        except InputError as error:
            raise InputError(f"image {self.record.id}: {error}") from None

    def response(self, label: int) -> Map:
        """Return the response map of a class at the image's size, (height, width)."""
        return self.at_image_size(self.prediction.map_of(label))

    def responses(self, label: int) -> list[Map]:
        """Return those of all input sizes, `response` first."""
        return [self.at_image_size(values) for values in self.prediction.maps_of(label)]

    def point(self, label: int) -> tuple[int, int]:
        """Return the pixel (x, y) of the maximum of a class's map at the image's size."""
        if label not in self._points:
            self._points[label] = point_of_maximum(self.response(label))
        return self._points[label]

    @property
    def rank(self) -> int:
        """How many classes the network ranks before the image's first label."""
        return int(label_ranks(self.prediction.scores[None], self.record.labels[:1])[0])

    def centre(self, label: int) -> tuple[int, int]:
        """Return the pixel (x, y) in the middle of the image, whatever the class: a control."""
        return centre_of(self.record.width, self.record.height)

    @cached_property
    def difficult(self) -> NDArray[np.int64]:
        """The image's classes of the difficult subset by the rule of SPN Table 2."""
        record = self.record
        return difficult_pairs(record.boxes_xyxy, record.box_labels, record.width, record.height)


def centre_of(width: int, height: int) -> tuple[int, int]:
    """Return the pixel (x, y) in the middle of an image, of two the later one."""
    return width // 2, height // 2

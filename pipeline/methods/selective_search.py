"""Selective Search (Uijlings et al., IJCV 2013)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.methods.bases.search import Search
from pipeline.packed.record import Boxes
from pipeline.params import Params


def selective_search(image: NDArray[np.uint8]) -> tuple[Boxes, NDArray[np.float32]]:
    """Return boxes (n, 4), largest first, and scores (n,), all 1, of an RGB image (H, W, 3).

    The boxes are those of all regions of the 12 hierarchies of OpenCV's "fast" mode, each box once,
    at least one. Selective Search has no score: its order is the depth in the hierarchy times a
    random number, to break up the hierarchies before a cut. There is no cut here, each box counts
    alike, and chance, which in OpenCV no seed reaches, has no say.
    """
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    search.switchToSelectiveSearchFast()
    x, y, width, height = np.reshape(search.process(), (-1, 4)).T
    order = np.lexsort((y, x, height, -width * height))
    boxes = np.stack([x, y, x + width, y + height], axis=1)[order].astype(np.float32)
    return boxes, np.ones(len(boxes), np.float32)


def _with_params(params: Params) -> Search:
    return selective_search


METHOD = _with_params

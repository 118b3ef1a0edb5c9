"""EdgeBoxes (Zitnick and Dollar, ECCV 2014), on edges of our own detector."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.methods.bases.edges import detect_edges
from pipeline.packed.record import Boxes


def edge_boxes(image: NDArray[np.uint8], limit: int) -> tuple[Boxes, NDArray[np.float32]]:
    """Return boxes (n, 4), at most `limit`, and scores (n,), best first, of an RGB image (H, W, 3).

    A box's score is the strength of the edges inside it, less those that cross its border (Eqs. 2
    and 3). OpenCV's numbers are those of the authors: alpha 0.65, beta 0.75, kappa 1.5, boxes of
    1,000 px or more. An image without edges, or too small for such boxes, has none.
    """
    strength, orientation = detect_edges(image)
    search = cv2.ximgproc.createEdgeBoxes(maxBoxes=limit)
    corners_and_sides, scores = search.getBoundingBoxes(strength, orientation)
    x, y, width, height = np.reshape(corners_and_sides, (-1, 4)).T.astype(np.float32)
    # It scores the pixels x .. x + width, counts x from 0, and adds 1 to it at last for Matlab.
    boxes = np.stack([x - 1, y - 1, x + width, y + height], axis=1)
    return boxes, np.reshape(scores, -1)[: len(boxes)].astype(np.float32)  # None without boxes

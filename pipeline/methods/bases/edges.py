"""Edges and their orientation by the gradients of an image's colours, for EdgeBoxes."""

import cv2
import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.float32]

SIGMA = 2.0
"""Pixels that the image is blurred by first: texture gives way. Chosen on training images."""
_ACROSS = (-2, -1, 1, 2)
# In Luv units a pixel. The weakest step there is, by one grey level, has 0.05, rounding 3e-6.
_ROUNDING = 1e-3
_SCHARR = 1 / 32


def detect_edges(image: NDArray[np.uint8]) -> tuple[Edges, Edges]:
    """Return strength and orientation, both (H, W), of the edges of an RGB image (H, W, 3).

    Strength, in [0, 1], is the multi-channel gradient (Di Zenzo, 1986) of the blurred image in
    CIE Luv by Scharr's operator, kept where it does not fall short of any of the four points 1 and
    2 px across the edge, and divided by the image's largest; an image of one colour has none.
    Orientation, in [0, pi], is that of the gradient: 0 for a vertical edge, pi / 2 for a level one.

    The edges of EdgeBoxes' authors come from Structured Forests (Dollar and Zitnick, ICCV 2013),
    which OpenCV reads from `model.yml.gz` of its repository opencv_extra; no package has this file.
    """
    cv2.setNumThreads(1)  # images share the cores; a pool of threads would not survive their fork
    luv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Luv)
    strength, orientation = _gradient(cv2.GaussianBlur(luv, (0, 0), SIGMA).astype(np.float32))
    kept = _is_ridge(strength, orientation) & (strength > _ROUNDING)
    thin = np.where(kept, strength, 0).astype(np.float32)
    return thin / (thin.max() or 1), orientation


def _gradient(channels: NDArray[np.float32]) -> tuple[Edges, Edges]:
    """Return the root of the larger eigenvalue of the gradients' tensor, and its direction."""
    dx = cv2.Scharr(channels, cv2.CV_32F, 1, 0, scale=_SCHARR)
    dy = cv2.Scharr(channels, cv2.CV_32F, 0, 1, scale=_SCHARR)
    xx, yy, xy = (dx * dx).sum(2), (dy * dy).sum(2), (dx * dy).sum(2)
    strength = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    return strength, np.mod(np.arctan2(2 * xy, xx - yy) / 2, np.float32(np.pi))


def _is_ridge(strength: Edges, orientation: Edges) -> NDArray[np.bool_]:
    """Mark the pixels that are not weaker than their neighbours across the edge."""
    height, width = strength.shape
    rows, columns = np.indices((height, width), dtype=np.float32)
    ridge = np.ones((height, width), dtype=bool)
    for step in _ACROSS:
        x, y = columns + step * np.cos(orientation), rows + step * np.sin(orientation)
        beside = cv2.remap(strength, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        ridge &= strength >= beside
    return ridge

"""Components by one labelling per threshold: slow, and with nothing in common with the sweep."""

import cv2
import numpy as np


def components(mask):
    """Return the boxes (n, 4), pixels and first pixels (n,) of the components of a mask."""
    labels, stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[1:3]
    x, y, width, height, sizes = stats[1:].T
    flat = labels.ravel().tolist()
    first = [flat.index(label) for label in range(1, len(stats))]
    return np.stack([x, y, x + width, y + height], axis=1), sizes, np.array(first, np.int64)


def largest_box(mask):
    """Return the box of the component with most pixels; of equal ones, with the first pixel."""
    boxes, sizes, first = components(mask)
    return boxes[min(range(len(boxes)), key=lambda i: (-sizes[i], first[i]))]


def at_thresholds(function, values, thresholds):
    """Return `function` of {values >= t} for every t, of {values >= maximum} for higher ones."""
    distinct = np.unique(values)
    rows = np.array([function(values >= value) for value in distinct])
    return rows[np.searchsorted(distinct, np.minimum(thresholds, distinct[-1]))]

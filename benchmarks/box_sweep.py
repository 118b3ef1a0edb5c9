"""Time of the boxes at many thresholds: one pass against one labelling per threshold.

    python -m benchmarks.box_sweep --thresholds 1000 --repeats 9

Maps are 224 x 224: random ones of 14 x 14 and 28 x 28, enlarged as response maps are, and noise,
the worst case. Each repeat draws a new map and gives it to every method in turn; times are CPU time
of one thread, compilation left out. The first row for a map is what the others are compared with.
Two ways give other answers: the largest contour is the one that encloses most, holes included and
pixel centres for corners; and 8-bit levels tell fewer thresholds apart.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.packing import table
from pipeline.evaluation.localization.boxes import best_component_ious, component_boxes_at, iou_xyxy
from pipeline.evaluation.localization.maps import Map, normalise, resize_map, to_levels
from pipeline.processes import granted_cores

SIDE = 224
MAPS = {"14 x 14, enlarged": 14, "28 x 28, enlarged": 28, "noise": SIDE}
OBJECTS = np.array([[20, 30, 120, 200], [100, 10, 210, 90], [150, 150, 180, 220]])

Array = NDArray[Any]
Method = Callable[[Map], Array]


def main() -> None:
    """Measure both tasks on every kind of map and print their tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--thresholds", type=int, default=1000)
    arguments.add_argument("--repeats", type=int, default=9)
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    for title, methods in (
        (f"Largest component's box at {given.thresholds:,} thresholds", boxes(given.thresholds)),
        ("Best IoU of any component at 256 levels, 3 boxes", IOUS),
    ):
        print(f"\n{title}\n\n{table(list(rows(methods, given.repeats)))}")
    packages = ("numba", "numpy", "opencv-contrib-python-headless", "scipy")
    print(
        f"\nPython {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in packages)}; one thread on "
        f"{granted_cores()} CPU(s), {platform.system()} {platform.machine()}."
    )


def boxes(thresholds: int) -> dict[str, Method]:
    """Return the ways to the (T, 4) boxes of a map; their names tell what is done how often."""
    limits = np.linspace(0, 1, thresholds)
    return {
        "OpenCV components, per threshold": partial(per_threshold, labelled, limits),
        "OpenCV labels counted by NumPy, per threshold": partial(per_threshold, counted, limits),
        "OpenCV contours, per threshold": partial(per_threshold, contoured, limits),
        "scipy.ndimage.label, per threshold": partial(per_threshold, scipy_labelled, limits),
        "OpenCV components, per distinct 8-bit level": partial(per_level, limits),
        "one pass": lambda values: component_boxes_at(values, limits),
    }


def per_threshold(box: Callable[[Array], Array], limits: Array, values: Map) -> Array:
    """Take the box of each {values >= t} by itself."""
    precise = values.astype(np.float64)
    return np.array([box((precise >= limit).view(np.uint8)) for limit in limits])


def per_level(limits: Array, values: Map) -> Array:
    """Label each level of the quantised map that occurs once, and look thresholds up."""
    levels = to_levels(values)
    distinct = np.unique(levels)
    found = np.array([labelled((levels >= level).view(np.uint8)) for level in distinct])
    # 0.2 x 255 must stay 51.
    return found[np.searchsorted(distinct, np.ceil(np.round(limits * 255, 9)))]


def labelled(mask: Array) -> Array:
    """Box the component with most pixels."""
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
    x, y, width, height, _ = stats[stats[:, cv2.CC_STAT_AREA].argmax()]
    return np.array([x, y, x + width, y + height])


def counted(mask: Array) -> Array:
    """Box the component with most pixels; OpenCV spends most of its time on its statistics."""
    labels = cv2.connectedComponents(mask, connectivity=8)[1]
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    x, y, width, height = cv2.boundingRect((labels == largest).view(np.uint8))
    return np.array([x, y, x + width, y + height])


def contoured(mask: Array) -> Array:
    """Box the contour of largest area, as wsolevaluation does."""
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return np.array([x, y, x + width, y + height])


def scipy_labelled(mask: Array) -> Array:
    """Box the component with most pixels."""
    labels = ndimage.label(mask, np.ones((3, 3)))[0]
    largest = np.bincount(labels.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(labels)[largest]
    return np.array([columns.start, rows.start, columns.stop, rows.stop])


def labelled_ious(values: Map) -> Array:
    """Label each level that occurs once, and compare all of its components."""
    levels = to_levels(values)
    distinct = np.unique(levels)
    found = np.array([best_labelled((levels >= level).view(np.uint8)) for level in distinct])
    return found[np.searchsorted(distinct, np.arange(256))]


def best_labelled(mask: Array) -> Array:
    """Return the best IoU of a component of the mask with an object."""
    left, top, width, height = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, :4].T
    corners = np.stack([left, top, left + width, top + height], axis=1)
    return iou_xyxy(corners, OBJECTS).max()


IOUS: dict[str, Method] = {
    "OpenCV components, per distinct 8-bit level": labelled_ious,
    "one pass": lambda values: best_component_ious(to_levels(values), OBJECTS),
}


def rows(methods: dict[str, Method], repeats: int) -> Iterator[dict[str, str]]:
    """Measure every method on every kind of map, and yield the rows of the table."""
    for kind, side in MAPS.items():
        drawn = [draw(side, seed) for seed in range(repeats + 1)]
        for method in methods.values():
            method(drawn[0])
        runs = [[timed(method, values) for method in methods.values()] for values in drawn[1:]]
        for index, name in enumerate(methods):
            times = [1000 * run[index][0] for run in runs]
            yield {
                "Map": kind,
                "Method": name,
                "Median, ms": f"{median(times):.2f}",
                "Range, ms": f"{min(times):.2f} – {max(times):.2f}",
                "Times faster": f"{median(run[0][0] / run[index][0] for run in runs):.1f}",
                "Same answers": f"{np.mean([same(run[0][1], run[index][1]) for run in runs]):.1%}",
            }


def draw(side: int, seed: int) -> Map:
    """Draw a normalised map."""
    return normalise(resize_map(np.random.default_rng(seed).random((side, side)), SIDE, SIDE))


def timed(method: Method, values: Map) -> tuple[float, Array]:
    """Return the CPU seconds that `method` takes, and its answers."""
    start = time.process_time()
    answers = method(values)
    return time.process_time() - start, answers


def same(first: Array, second: Array) -> float:
    """Return the share of thresholds with equal answers."""
    return float((first == second).reshape(len(first), -1).all(axis=1).mean())


if __name__ == "__main__":
    main()

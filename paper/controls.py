"""What constants score on a list of boxes without pictures: `python -m paper.controls FILE`.

A uniform map and Gaussians in the middle (SPN Table 1), the image centre (SPN Table 2) and a
centred box (SPG Tables 1 and 4) look at no image: what cannot beat them has learnt no more than
where photographers put objects.
"""

import argparse
import csv
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.box_list import PIXELS, Annotated, read_boxes
from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.metrics.box_localization import level_hits
from pipeline.evaluation.metrics.object_energy import bell, separable_object_energy
from pipeline.evaluation.metrics.pointing import difficult_pairs, is_hit, pointing_accuracy
from pipeline.evaluation.protocol.answer import centre_of
from pipeline.evaluation.protocol.difficult import read_list

SIGMAS = (0.15, 0.20, 0.25)
"""Standard deviations of the Gaussians, as shares of the sides."""
TOLERANCE = 15
"""Of pointing, px around a box (SPN Sec. 4.2)."""
SHARES = np.arange(1, 101) / 100
"""Sides of the centred boxes, as shares of the image's."""

Images = Collection[Annotated]


@dataclass(frozen=True)
class Control:
    """A figure of a constant, percent, over `n` images, for pointing (image, class) pairs."""

    table: str
    control: str
    figure: str
    value: float
    n: int


def main() -> None:
    """Print the controls of a list; errors end in one message."""
    given = arguments()
    try:
        images = read_boxes(given.file, given.pixels)
        found = list(controls(images, given.sigma, given.difficult))
    except InputError as error:
        sys.exit(f"controls: {error}")
    if given.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
    elif given.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(field.name for field in fields(Control))
        writer.writerows(astuple(each) for each in found)
    else:
        print(table(found))


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="controls", description=__doc__.splitlines()[0])
    parser.add_argument(
        "file", type=Path, help="CSV: image,width,height[,class],xmin,ymin,xmax,ymax, with a header"
    )
    parser.add_argument(
        "--pixels",
        choices=PIXELS,
        default="from-0",
        help="number of the first pixel (VOC: from-1); half-open: xmax, ymax lie behind the object",
    )
    parser.add_argument("--sigma", type=_share, nargs="+", default=SIGMAS, help="of the Gaussians")
    parser.add_argument("--difficult", type=Path, metavar="LIST", help="of pairs, beside the rule")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
    return parser.parse_args()


def controls(
    images: Mapping[str, Annotated], sigmas: Sequence[float] = SIGMAS, listed: Path | None = None
) -> Iterator[Control]:
    """Yield all controls of a list's images; those of pointing if it has classes.

    Raises:
        InputError: `listed` is no list of difficult pairs of these images.
    """
    yield from energies(images.values(), sigmas)
    if any(name for image in images.values() for name in image.classes):
        yield from pointing(images, listed)
    elif listed:
        raise InputError(f"{listed}: pairs of images and classes, but the boxes have no class")
    yield from centred_boxes(images.values())


def energies(images: Images, sigmas: Sequence[float]) -> Iterator[Control]:
    """Yield the Object Energy of a uniform map and of centred Gaussians (SPN Table 1)."""
    cached = lru_cache(None)(bell)
    sides = {"uniform map": lambda side: np.ones(side)} | {
        f"centred Gaussian, sigma {sigma:.2f}": lambda side, sigma=sigma: cached(side, sigma)
        for sigma in sigmas
    }
    for name, of in sides.items():
        each = [
            separable_object_energy(of(image.height), of(image.width), image.boxes_xyxy)
            for image in images
        ]
        yield Control("SPN 1", name, "Object Energy", mean_of_defined(each), len(images))


def pointing(images: Mapping[str, Annotated], listed: Path | None) -> Iterator[Control]:
    """Yield the pointing accuracy of the image centre, mean over classes (SPN Table 2)."""
    classes = tuple(sorted({name for image in images.values() for name in image.classes}))
    chosen = _chosen(images, classes, listed) if listed else {}
    pairs = []
    for id, image in images.items():
        labels = np.array([classes.index(name) for name in image.classes])
        boxes, point = np.array(image.boxes_xyxy), centre_of(image.width, image.height)
        small = difficult_pairs(boxes, labels, image.width, image.height)
        for label in np.unique(labels):
            hit = is_hit(point, boxes[labels == label], TOLERANCE)
            pairs.append((label, hit, True, label in small, label in chosen.get(id, ())))
    label, hits, *subsets = np.array(pairs).T
    figures = ("pointing, all", "pointing, difficult by rule", "pointing, difficult by list")
    for figure, subset in zip(figures[: 3 if listed else 2], subsets, strict=False):
        own = subset.astype(bool)
        value, _ = pointing_accuracy(label[own], hits[own], len(classes))
        yield Control("SPN 2", "image centre", figure, value, int(own.sum()))


def _chosen(
    images: Mapping[str, Annotated], classes: tuple[str, ...], listed: Path
) -> Mapping[str, Collection[int]]:
    if not listed.is_file():
        raise InputError(f"{listed}: not found; --difficult names a list of pairs")
    chosen = read_list(listed, classes)
    if missing := images.keys() - chosen.keys():
        raise InputError(f"{listed}: image {min(missing)} is not listed; name the list of these")
    return chosen


def centred_boxes(images: Images) -> Iterator[Control]:
    """Yield the GT-known error of the best centred box and of the whole image (SPG Tables 1, 4).

    The share of the sides is the best for these very images, of equally good ones the smallest. In
    Table 1 the error is larger: there the class must be right as well.
    """
    hits = np.array([level_hits(_centred(image), image.boxes_xyxy) for image in images])
    errors = 100 * (1 - hits.mean(axis=0))
    best = int(errors.argmin())
    for name, level in (
        (f"centred box, {SHARES[best]:.2f} of the sides", best),
        ("whole image", -1),
    ):
        yield Control("SPG 1, 4", name, "GT-known error", float(errors[level]), len(images))


def _centred(image: Annotated) -> NDArray[np.float64]:
    """Centred boxes (100, 4) of all `SHARES` of an image's sides."""
    size = np.array([image.width, image.height])
    margin = (1 - SHARES[:, None]) / 2 * size
    return np.hstack([margin, size - margin])


def table(found: Sequence[Control]) -> str:
    """Return a Markdown table."""
    lines = ["| table | control | figure | value | n |", "|---|---|---|---:|---:|"]
    return "\n".join(
        [
            *lines,
            *(f"| {c.table} | {c.control} | {c.figure} | {c.value:.1f} | {c.n:,} |" for c in found),
        ]
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < float("inf"):
        raise ValueError("not above 0")
    return share


if __name__ == "__main__":
    main()

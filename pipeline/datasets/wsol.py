"""The fixed splits of the re-evaluation of weakly supervised localization (Choe et al., CVPR 2020).

The format is that of the authors' repository github.com/clovaai/wsolevaluation: its folder
metadata holds the lists and its folder dataset the images.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.clipping import clip_overlapping
from pipeline.datasets.listing import check_names, read_lines
from pipeline.datasets.wsol_masks import Masks, joined, listed_masks
from pipeline.errors import InputError
from pipeline.packed.record import SPLITS, Dataset, Record, Split, validate
from pipeline.params import DataParams

_WHOLE = re.compile(r"-?[0-9]{1,9}")
_TITLES = {"CUB": "CUB-200-2011", "ILSVRC": "ILSVRC", "OpenImages": "OpenImages30k"}
_OFFICIAL_COUNTS = {
    "CUB": (5994, 1000, 5794),
    "ILSVRC": (1281167, 10000, 50000),
    "OpenImages": (29819, 2500, 5000),
}
_WITH_MASKS = {"OpenImages"}
"""The benchmarks whose lists have masks instead of boxes, and no sizes."""
_TO_LAST_PIXEL = {("ILSVRC", "test")}
"""The lists whose boxes end at their last pixel; those of the others end behind it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One listed image.

    Attributes:
        id: its path below dataset/<benchmark>.
        size: listed width and height; None where none is listed.
        boxes: x0, y0, x1, y1 of each as listed; none for a training image.
        to_last_pixel: x1 and y1 are the last pixel, not the one behind it.
        masks: None where there are none.
    """

    id: str
    label: int
    size: tuple[int, int] | None = None
    boxes: tuple[tuple[int, ...], ...] = ()
    to_last_pixel: bool = False
    masks: Masks | None = None


def folders(benchmark: str) -> tuple[Path, ...]:
    """Return what a checkout must have for `benchmark`: "CUB", "ILSVRC" or "OpenImages"."""
    return Path("metadata") / benchmark, Path("dataset") / benchmark


def read(root: Path, benchmark: str, params: DataParams, seed: int) -> Dataset:
    """Describe a benchmark, as for `folders`, in the checkout `root` as a single-label data set.

    The lists fix the splits, so `params.val_fraction` and `seed` play no part: train is
    train-weaksup, val is train-fullsup (new photographs with boxes, to choose thresholds on)
    and test is the benchmark's official test part. Boxes of training images are not read.

    Listed boxes count from 0 and end behind their last pixel, at x + width, but for those of
    ILSVRC's test part, which are the official ones and include it. Ends at the border are listed
    one pixel before it, which cannot be told from boxes that end there, and stay so. Boxes refer
    to the listed size, so that the images may be reduced copies; those that leave it are clipped.
    OpenImages has masks of the size of its pictures, see `wsol_masks`, and no boxes.
    Classes are named after the folder of their training images where each has one of its own, and
    by number otherwise.

    Raises:
        InputError: here or while records are made: a missing, empty or malformed list, an image
            that is listed twice, leads out of the folder or lacks a line in one of the lists, a
            line of an unlisted image, a label without training image, a missing or unreadable
            image or mask, a bad box.
    """
    metadata, images = (root / folder for folder in folders(benchmark))
    train = _training_entries(metadata / "train")
    if benchmark in _WITH_MASKS:
        val, test = (_masked_entries(metadata / part) for part in ("val", "test"))
    else:
        val, test = (
            _boxed_entries(metadata / part, (benchmark, part) in _TO_LAST_PIXEL)
            for part in ("val", "test")
        )
    classes = _classes(train, metadata / "train")
    make = partial(_records, images, metadata, params.short_side, classes)
    parts = dict(zip(SPLITS, (train, val, test), strict=True))
    name = _name(benchmark, (len(train), len(val), len(test)), len(classes))
    splits = {key: Split(make, part) for key, part in parts.items()}
    return Dataset(name, "single", classes, splits, params.short_side)


def _name(benchmark: str, counts: tuple[int, int, int], classes: int) -> str:
    """The benchmark's name only for the benchmark's own numbers of images."""
    title = _TITLES[benchmark]
    if counts == _OFFICIAL_COUNTS[benchmark]:
        return f"{title} (splits of Choe et al.)"
    return f"{title} subset (splits of Choe et al., {classes} classes, {sum(counts)} images)"


def _training_entries(folder: Path) -> list[_Entry]:
    """The images of train, without boxes."""
    return [_Entry(id, label) for id, label in _labels(folder).items()]


def _boxed_entries(folder: Path, to_last_pixel: bool) -> list[_Entry]:
    """The images of val or test, with sizes and boxes."""
    labels = _labels(folder)
    sizes = _single_rows(folder / "image_sizes.txt", 2, labels)
    boxes = _rows(folder / "localization.txt", 4, labels)
    return [
        _Entry(id, label, (sizes[id][0], sizes[id][1]), tuple(boxes[id]), to_last_pixel)
        for id, label in labels.items()
    ]


def _masked_entries(folder: Path) -> list[_Entry]:
    """The images of val or test, with masks."""
    labels = _labels(folder)
    masks = listed_masks(folder / "localization.txt", labels)
    return [_Entry(id, label, masks=masks[id]) for id, label in labels.items()]


def _labels(folder: Path) -> dict[str, int]:
    """The label of each image of a split, in the order of its list."""
    path = folder / "image_ids.txt"
    ids = read_lines(path, "the paths of the images of a split")
    check_names(ids, path)
    rows = _single_rows(folder / "class_labels.txt", 1, ids)
    return {id: rows[id][0] for id in ids}


def _single_rows(path: Path, columns: int, listed: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The numbers in the one line of each listed image."""
    rows = _rows(path, columns, listed)
    for id, values in rows.items():
        if len(values) > 1:
            raise InputError(f"{path}: {len(values)} lines for {id!r}; keep one")
    return {id: values[0] for id, values in rows.items()}


def _rows(path: Path, columns: int, listed: Iterable[str]) -> dict[str, list[tuple[int, ...]]]:
    """The numbers in the lines `<id>,<number>,...` of each listed image."""
    rows: dict[str, list[tuple[int, ...]]] = {id: [] for id in listed}
    for line in read_lines(path, f"lines of an image and {columns} whole number(s)"):
        id, *values = line.rsplit(",", columns)
        if len(values) != columns or not all(map(_WHOLE.fullmatch, values)):
            raise InputError(f"{path}: {line!r} is not an image and {columns} whole number(s)")
        if id not in rows:
            raise InputError(f"{path}: {id!r} is not in image_ids.txt; add it or remove the line")
        rows[id].append(tuple(map(int, values)))
    for id, values_of_id in rows.items():
        if not values_of_id:
            raise InputError(f"{path}: no line for {id!r}; add it or take the image out")
    return rows


def _classes(train: list[_Entry], folder: Path) -> tuple[str, ...]:
    """The names of the labels, which must run from 0 without a gap."""
    parents: dict[int, set[str]] = {}
    for entry in train:
        parents.setdefault(entry.label, set()).add(PurePosixPath(entry.id).parent.name)
    if sorted(parents) != list(range(len(parents))):
        raise InputError(
            f"{folder / 'class_labels.txt'}: {len(parents)} labels between {min(parents)} and "
            f"{max(parents)}; they must run from 0 without a gap"
        )
    names = [next(iter(parents[label])) for label in range(len(parents))]
    own = all(len(folders) == 1 for folders in parents.values()) and len(set(names)) == len(names)
    return tuple(names) if own else tuple(map(str, range(len(names))))


def _records(
    images: Path,
    metadata: Path,
    short_side: int,
    classes: tuple[str, ...],
    entries: Sequence[_Entry],
) -> Iterator[Record]:
    """Yield the records of `entries`."""
    for entry in entries:
        image, *size = photograph.load(images / entry.id, short_side)
        width, height = entry.size or size
        record = Record(
            id=entry.id,
            image=image,
            width=width,
            height=height,
            labels=(entry.label,),
            boxes_xyxy=clip_overlapping(_boxes(entry), width, height),
            box_labels=np.full(len(entry.boxes), entry.label, dtype=np.int64),
            difficult=np.zeros(len(entry.boxes), dtype=bool),
            mask=joined(images, entry.masks, width, height) if entry.masks else None,
        )
        file_adds = (0, -int(entry.to_last_pixel))
        validate(record, classes, f"{metadata}: {entry.id}", file_adds)
        yield record


def _boxes(entry: _Entry) -> np.ndarray:
    """(n, 4) half-open."""
    corners = np.array(entry.boxes, dtype=np.float32).reshape(-1, 4)
    starts, ends = corners[:, :2], corners[:, 2:]
    # A box on the last pixels of the picture may be listed as empty: it is one pixel wide.
    return np.hstack([starts, ends + (entry.to_last_pixel | (starts == ends))])

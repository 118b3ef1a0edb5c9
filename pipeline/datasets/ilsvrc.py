"""Photographs in the CLS-LOC layout of ILSVRC 2012-2017 (Russakovsky et al., IJCV 2015).

What the layout and its numbers mean is said in the development kit's readme.txt, section 3.
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets import photograph
from pipeline.datasets.annotation_xml import AnnotatedObject, read_objects
from pipeline.datasets.clipping import clip_overlapping, overlapping
from pipeline.datasets.holdout import hold_out
from pipeline.datasets.listing import read_lines
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record, Split, validate
from pipeline.params import DataParams

_ROOT = Path("ILSVRC")
_TRAIN = _ROOT / "Data/CLS-LOC/train"
_VAL = _ROOT / "Data/CLS-LOC/val"
_BOXES = _ROOT / "Annotations/CLS-LOC/val"
FOLDERS = (_TRAIN, _VAL, _BOXES)
DEVKIT = _ROOT / "devkit"
_BLACKLIST = "ILSVRC20??_clsloc_validation_blacklist.txt"
_SUFFIX = ".JPEG"
_SUFFIXES = (".jpeg", ".jpg")
"""Of images, in small letters: copies of the data set have others than the official one."""
_SYNSET = re.compile(r"n\d{8}")
_VAL_ID = re.compile(r"ILSVRC2012_val_(\d{8})")
_OFFICIAL_COUNTS = (1281167, 50000)


def read(root: Path, params: DataParams, seed: int) -> Dataset:
    """Describe `root`/ILSVRC as a single-label data set.

    Train are all training images, labelled by their folder and without boxes (only some have
    any, and training must not see them). Thresholds need boxes, so they cannot be chosen on
    training images: val is a seeded part (`params.val_fraction`) of the official val images and
    test the rest of them. With a fraction of 0 the test split is the whole official val, as in
    the papers. `params.ilsvrc_blacklist` leaves out the val images whose numbers the
    development kit's blacklist has, as the official evaluation does.

    The images end in .JPEG, as the official ones, or in .jpeg or .jpg; those of val lie in one
    folder or, as many sort them, in a folder of each synset, whose name plays no part.

    The classes are the synsets (WordNet ids, the training folders) in alphabetical order, which
    is that of the usual pretrained weights.

    Val boxes count from 0 and include the last pixel: as written they reach from 0 to width - 1,
    and the official evaluation adds 1 to their sides. They are taken in pixels of the image, and
    the file's <size> is ignored, as by that evaluation. Boxes that leave the picture are clipped.
    Those that are inverted or lie outside, which training annotations are known to have, are left
    out, as no prediction can meet them.

    Raises:
        InputError: here or while records are made: a missing folder, a folder without images, a
            missing or malformed blacklist, a missing or unreadable image or annotation, an
            annotation without image, a val image without box inside it, with several synsets or
            with one that has no training folder.
    """
    classes = _synsets(root / _TRAIN)
    train = [f"{synset}/{name}" for synset in classes for name in _images(root / _TRAIN / synset)]
    paths = _val_images(root / _VAL)
    val = list(paths)
    _check_annotated(root, val)
    counts = len(train), len(val)
    if params.ilsvrc_blacklist:
        val = _without_blacklisted(val, _blacklist(root / DEVKIT))
    held_out = hold_out(val, params.val_fraction, seed)
    test = [id for id in val if id not in held_out]
    unboxed = partial(_training_records, root / _TRAIN, params.short_side, classes)
    boxed = partial(_val_records, root, params.short_side, classes)
    splits = {
        "train": Split(unboxed, train),
        "val": Split(boxed, [paths[id] for id in val if id in held_out]),
        "test": Split(boxed, [paths[id] for id in test]),
    }
    name = _name(counts, len(test), len(classes))
    return Dataset(name, "single", classes, splits, params.short_side)


def _name(counts: tuple[int, int], test: int, classes: int) -> str:
    """The benchmark's name only for the benchmark's own numbers of images."""
    if counts != _OFFICIAL_COUNTS:
        return f"ILSVRC-style photographs ({classes} classes, {sum(counts)} images)"
    whole = _OFFICIAL_COUNTS[1]
    return "ILSVRC" if test == whole else f"ILSVRC val ({test} of {whole} images)"


def _synsets(folder: Path) -> tuple[str, ...]:
    """The training folders named like a synset, sorted."""
    found = [entry.name for entry in _scan(folder) if entry.is_dir()]
    synsets = tuple(sorted(name for name in found if _SYNSET.fullmatch(name)))
    if not synsets:
        raise InputError(f"{folder}: has no folder of a synset (n01440764, ...); unpack the images")
    return synsets


def _images(folder: Path) -> list[str]:
    """The names of the images in a folder, sorted."""
    names = [entry.name for entry in _scan(folder)]
    images = [name for name in names if name.lower().endswith(_SUFFIXES)]
    if not images:
        raise InputError(f"{folder}: has no image (*{_SUFFIX}, *.jpg); unpack the images")
    return sorted(images, key=_stem)


def _val_images(folder: Path) -> dict[str, str]:
    """The path below `folder` of each val image, by its id, sorted by it."""
    sorted_in = [entry.name for entry in _scan(folder) if _SYNSET.fullmatch(entry.name)]
    if sorted_in:
        paths = [f"{synset}/{name}" for synset in sorted_in for name in _images(folder / synset)]
    else:
        paths = _images(folder)
    return {_stem(path): path for path in sorted(paths, key=_stem)}


def _stem(path: str) -> str:
    """The name of an image without folder and suffix."""
    return PurePosixPath(path).stem


def _check_annotated(root: Path, val: list[str]) -> None:
    """Refuse a val image without annotation and an annotation without image."""
    names = (entry.name for entry in _scan(root / _BOXES))
    annotations = {_stem(name) for name in names if name.endswith(".xml")}
    images = set(val)
    if missing := sorted(images - annotations):
        raise InputError(
            f"{root / _BOXES / missing[0]}.xml: not found; it holds the objects of a val image"
        )
    if missing := sorted(annotations - images):
        raise InputError(
            f"{root / _VAL / missing[0]}{_SUFFIX}: not found, although it is annotated; restore "
            "the image or remove the annotation"
        )


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None


def _blacklist(devkit: Path) -> frozenset[int]:
    """The numbers, from 1, of the val images whose boxes are unsatisfactory."""
    paths = sorted(devkit.rglob(_BLACKLIST))
    if not paths:
        raise InputError(
            f"{devkit}: has no {_BLACKLIST}; add the development kit or set "
            "data.ilsvrc_blacklist: false"
        )
    lines = read_lines(paths[0], "the numbers of blacklisted val images")
    for line in lines:
        if not re.fullmatch("[0-9]{1,8}", line):
            raise InputError(f"{paths[0]}: {line!r} is no number of an image; restore the file")
    return frozenset(map(int, lines))


def _without_blacklisted(ids: list[str], blacklist: frozenset[int]) -> list[str]:
    return [id for id in ids if _number(id) not in blacklist]


def _number(id: str) -> int:
    """The number, from 1, in the name of a val image."""
    match = _VAL_ID.fullmatch(id)
    if match is None:
        raise InputError(
            f"val image {id}{_SUFFIX} has no number (ILSVRC2012_val_00000001{_SUFFIX}), which "
            "data.ilsvrc_blacklist needs; rename it or set the key to false"
        )
    return int(match[1])


def _training_records(
    folder: Path, short_side: int, classes: tuple[str, ...], paths: Sequence[str]
) -> Iterator[Record]:
    """Yield the records, without boxes, of the training images `paths` (<synset>/<name>)."""
    for path in paths:
        image, width, height = photograph.load(folder / path, short_side)
        synset = path.partition("/")[0]
        yield Record(
            id=f"{synset}/{_stem(path)}",
            image=image,
            width=width,
            height=height,
            labels=(classes.index(synset),),
            boxes_xyxy=np.zeros((0, 4), dtype=np.float32),
            box_labels=np.zeros(0, dtype=np.int64),
            difficult=np.zeros(0, dtype=bool),
        )


def _val_records(
    root: Path, short_side: int, classes: tuple[str, ...], images: Sequence[str]
) -> Iterator[Record]:
    """Yield the records of the val images with these paths below their folder."""
    for file in images:
        id = _stem(file)
        path = root / _BOXES / f"{id}.xml"
        image, width, height = photograph.load(root / _VAL / file, short_side)
        objects = _inside(read_objects(path), width, height)
        label = _label(objects, classes, path)
        record = Record(
            id=id,
            image=image,
            width=width,
            height=height,
            labels=(label,),
            boxes_xyxy=clip_overlapping(_boxes(objects), width, height),
            box_labels=np.full(len(objects), label, dtype=np.int64),
            difficult=np.array([item.difficult for item in objects], dtype=bool),
            truncated=np.array([item.truncated for item in objects], dtype=bool),
        )
        validate(record, classes, str(path), file_adds=(0, -1))
        yield record


def _inside(objects: list[AnnotatedObject], width: int, height: int) -> list[AnnotatedObject]:
    """The objects with a part in the picture."""
    inside = overlapping(_boxes(objects), width, height)
    return [item for item, kept in zip(objects, inside, strict=True) if kept]


def _boxes(objects: list[AnnotatedObject]) -> np.ndarray:
    """(n, 4) half-open; the files include the last pixel."""
    corners = np.array([item.corners for item in objects], dtype=np.float32).reshape(-1, 4)
    return corners + np.array([0, 0, 1, 1], dtype=np.float32)


def _label(objects: list[AnnotatedObject], classes: tuple[str, ...], path: Path) -> int:
    """The label that all objects share."""
    synsets = sorted({item.name for item in objects})
    if len(synsets) != 1:
        found = ", ".join(synsets) or "none inside the picture"
        raise InputError(f"{path}: objects of one synset are needed, found {found}; correct it")
    if synsets[0] not in classes:
        raise InputError(f"{path}: synset {synsets[0]!r} has no folder of training images")
    return classes.index(synsets[0])

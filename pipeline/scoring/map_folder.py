"""A folder of score maps beside the images that they are of."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.pointing import pointing_classes
from pipeline.packed.record import Record
from pipeline.scoring.map_file import SUFFIXES, read_map
from pipeline.scoring.truth import Truth

Files = Mapping[int | None, Path]
"""The maps of one image by class; None is the class of a map that is for all of them."""


@dataclass(frozen=True)
class MapFolder:
    """The maps of all images of `truth`, read when they are asked for: predictions and records.

    Attributes:
        files: the maps of each image, by its name.
        energies: the maps are at least 0, one for each image, so that they have an Object Energy.
        constant: files whose map says nothing.
    """

    truth: Truth
    files: Mapping[str, Files]
    energies: bool
    constant: tuple[Path, ...]

    def __iter__(self) -> Iterator[tuple[Prediction, Record]]:
        for record in self.truth.records:
            yield self._prediction(record), record

    def _prediction(self, record: Record) -> Prediction:
        """The maps of an image as a network's that is sure of its labels."""
        files, classes = self.files[record.id], asked(record)
        maps = {label: read_map(path) for label, path in files.items() if label in (None, *classes)}
        scores = np.zeros(len(self.truth.classes), np.float32)
        scores[list(record.labels)] = 1
        every = [maps[None] if None in maps else maps[label] for label in classes]
        energy = maps[None] if self.energies else None
        if energy is not None and not energy.any():  # It says nothing of where objects are.
            energy = np.ones_like(energy)
        return Prediction(
            id=record.id,
            split="",
            scores=scores,
            map_classes=np.array(classes, np.int64),
            maps=np.stack(every) if every else np.zeros((0, 1, 1), np.float32),
            proposal_map=energy,
        )


def read_maps(folder: Path, truth: Truth) -> MapFolder:
    """Return the maps in `folder`, each looked at once.

    The map of an image is `<name>.npy` or `.png`, or there is one for each class in the folder
    `<name>/`: `<class>.npy`. The name is the image's, with or without its suffix; "/" in it are
    folders.

    Raises:
        InputError: no folder; a map that is missing, there twice, or of no image or class; maps of
            one image that are of several sizes; as `read_map`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not found; name the folder of the maps")
    below = _Below(folder)
    files = {record.id: below.of_image(record, truth.classes) for record in truth.records}
    below.refuse_others(truth)
    lowest, constant = _looked_at(files)
    energies = lowest >= 0 and all(set(own) == {None} for own in files.values())
    return MapFolder(truth, files, energies, constant)


def asked(record: Record) -> list[int]:
    """Return the classes whose maps of an image are judged, ascending."""
    return sorted({*record.labels, *pointing_classes(record.box_labels, record.difficult).tolist()})


class _Below:
    """The maps below a folder, by their path without suffix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, list[Path]] = {}
        self._inside: dict[str, list[str]] = {}
        self._owners: dict[Path, str] = {}
        for place, folders, names in os.walk(folder, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    self._add(Path(place, name))

    def _add(self, path: Path) -> None:
        parent = path.parent.relative_to(self._folder).as_posix()
        # The names of images and classes may have dots of their own.
        name = (path.parent / path.name[: -len(SUFFIXES[0])]).relative_to(self._folder).as_posix()
        if name not in self._paths:
            self._inside.setdefault(parent, []).append(name)
        self._paths.setdefault(name, []).append(path)

    def of_image(self, record: Record, classes: Sequence[str]) -> Files:
        """Return the maps of an image by class."""
        names = _names(record.id)
        whole = [path for name in names for path in self._paths.get(name, [])]
        by_class: dict[int | None, list[Path]] = {}
        for child in (child for name in names for child in self._inside.get(name, [])):
            title = PurePosixPath(child).name
            if title in classes:
                by_class.setdefault(classes.index(title), []).extend(self._paths[child])
        if not whole and (missing := [c for c in asked(record) if c not in by_class]):
            raise InputError(
                f"{self._folder}: no map of image {record.id}, neither {names[-1]}{SUFFIXES[0]} "
                f"nor {names[-1]}/{classes[missing[0]]}{SUFFIXES[0]}; add it, or leave the image "
                "out of the data"
            )
        found = by_class | ({None: whole} if whole else {})
        several = [path for own in found.values() for path in own] if whole else []
        for own in (several, *found.values()):
            if len(own) > 1:
                raise InputError(
                    f"{own[1]}: image {record.id} has {own[0]} too; keep one map, or one a class"
                )
        return {label: self._owned(own[0], record.id) for label, own in found.items()}

    def _owned(self, path: Path, id: str) -> Path:
        other = self._owners.setdefault(path, id)
        if other != id:
            raise InputError(
                f"{path}: may be of image {other} and of {id}; add their suffixes, as in "
                f"{PurePosixPath(id).name}{SUFFIXES[0]}"
            )
        return path

    def refuse_others(self, truth: Truth) -> None:
        """Raise InputError for maps that no image took, unless it is one without boxes."""
        unjudged = {name for id in truth.unjudged for name in _names(id)}
        others = [
            path
            for name, paths in self._paths.items()
            for path in paths
            if path not in self._owners
            and not unjudged & {name, PurePosixPath(name).parent.as_posix()}
        ]
        if others:
            more = f", and {len(others) - 1} more" if others[1:] else ""
            raise InputError(
                f"{others[0]}: a map of no image, or of no class, of {truth.name}{more}; remove "
                "it, or name the data that it is of"
            )


def _names(id: str) -> list[str]:
    """The image's name, and that without suffix."""
    return list(dict.fromkeys([id, PurePosixPath(id).with_suffix("").as_posix()]))


def _looked_at(files: Mapping[str, Files]) -> tuple[float, tuple[Path, ...]]:
    """The lowest value of all maps, and the files of those that are constant."""
    lowest, constant = np.inf, []
    for own in files.values():
        shapes: dict[tuple[int, ...], Path] = {}
        for path in own.values():
            values = read_map(path)
            shapes.setdefault(values.shape, path)
            lowest = min(lowest, float(values.min()))
            if values.min() == values.max():
                constant.append(path)
        if len(shapes) > 1:
            (one, first), (other, second) = list(shapes.items())[:2]
            raise InputError(
                f"{second}: shape {other}, but {first} has {one}; the maps of an image must be of "
                "one size"
            )
    return lowest, tuple(constant)

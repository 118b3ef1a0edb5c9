"""The formats of results by name: what is written for each picture, and at the end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.prediction import coco, voc, yolo
from pipeline.prediction.results import Result

Classes = tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """A file for each picture.

    Attributes:
        folder, suffix: where it is, below the folder of the results, and how it ends.
        text: (result, classes) -> its content.
    """

    folder: str
    suffix: str
    text: Callable[[Result, Classes], str]


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        files: what is written for each picture; None: nothing.
        finish: (folder, results, classes) writes what is for all pictures, and returns the path to
            tell; `results` gives them anew at each call.
    """

    files: Files | None
    finish: Callable[[Path, Callable[[], Iterable[Result]], Classes], Path]


FORMATS = {
    "coco": Format(None, coco.write),
    "voc": Format(
        Files("Annotations", ".xml", voc.annotation),
        lambda folder, results, classes: folder / "Annotations",
    ),
    "yolo": Format(
        Files("labels", ".txt", lambda result, classes: yolo.labels(result)),
        lambda folder, results, classes: yolo.write_names(folder, classes).with_name("labels"),
    ),
}

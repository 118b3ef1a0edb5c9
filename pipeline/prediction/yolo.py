"""A result as a label file of YOLO."""

from pathlib import Path

from pipeline.files import atomic_path
from pipeline.prediction.results import Result

NAMES = "classes.txt"


def labels(result: Result) -> str:
    """Return a line for each box: class from 0, centre x and y, width and height.

    These are shares of the picture's sides. There is no score: a sixth column is refused by the
    programs that train on such files.
    """
    return "".join(
        f"{box.label} "
        f"{(x0 + x1) / 2 / result.width:.8f} {(y0 + y1) / 2 / result.height:.8f} "
        f"{(x1 - x0) / result.width:.8f} {(y1 - y0) / result.height:.8f}\n"
        for box in result.boxes
        for x0, y0, x1, y1 in [box.box_xyxy]
    )


def write_names(folder: Path, classes: tuple[str, ...]) -> Path:
    """Write the names of the classes, a line each, in their order; return the file's path."""
    with atomic_path(folder / NAMES) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return folder / NAMES

"""Lists of boxes without pictures: a CSV file with a row for each object."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.csv_table import rows
from pipeline.datasets.listing import pixels
from pipeline.errors import InputError

SIZES = ("width", "height")
EDGES = ("xmin", "ymin", "xmax", "ymax")
NEEDED = ("image", *SIZES, *EDGES)
CLASS = "class"

PIXELS = {"from-0": (0, 1), "from-1": (-1, 0), "half-open": (0, 0)}
"""What makes half-open boxes with pixels from 0 of those of a list: to be added to xmin, ymin and
to xmax, ymax. By from-0 and from-1 (VOC), the number of the first pixel, xmax and ymax are the last
pixels of the object; by half-open they lie behind it.
"""


@dataclass
class Annotated:
    """An image of a list: its sides in px, its half-open boxes (n, 4) and their classes (n,).

    `sources` (n,) are the file and the place in it that each box comes from, for messages.
    """

    width: int
    height: int
    boxes_xyxy: list[tuple[float, float, float, float]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list, compare=False)

    def add(self, box: tuple[float, float, float, float], name: str, source: str) -> None:
        """Add a box of the class `name`, which may be empty."""
        self.boxes_xyxy.append(box)
        self.classes.append(name)
        self.sources.append(source)


def read_boxes(path: Path, convention: str) -> dict[str, Annotated]:
    """Return the images of a list, written by one of `PIXELS`, by their names, in its order.

    The first line names the columns: image, width, height, xmin, ymin, xmax, ymax, and class if
    the list has classes; others are passed over.

    Raises:
        InputError: the file is missing or no such list; a row has no number of pixels, a size of
            zero, an inverted box, a box that leaves its image, or another size than the image had
            before. The message names the line.
    """
    images: dict[str, Annotated] = {}
    for source, row in rows(path, "boxes, a row for each", NEEDED, f"{CLASS} if there are classes"):
        width, height = (_number(row, key, source) for key in SIZES)
        if width < 1 or height < 1:
            raise InputError(f"{source}: an image of {width:g} x {height:g} px; correct its size")
        if not row["image"]:
            raise InputError(f"{source}: no name of an image; add it")
        image = images.setdefault(row["image"], Annotated(int(width), int(height)))
        if (image.width, image.height) != (width, height):
            raise InputError(
                f"{source}: image {row['image']} has {width:g} x {height:g} px here, "
                f"{image.width} x {image.height} above; correct one"
            )
        image.add(_box(row, image, convention, source), row.get(CLASS, ""), source)
    if not images:
        raise InputError(f"{path}: line 2: no boxes below the names of the columns")
    return images


def _number(row: dict[str, str], key: str, source: str) -> float:
    try:
        return pixels(row[key])
    except ValueError:
        raise InputError(f"{source}: {key} {row[key]!r} is no number of pixels") from None


def _box(
    row: dict[str, str], image: Annotated, convention: str, source: str
) -> tuple[float, float, float, float]:
    xmin, ymin, xmax, ymax = (_number(row, key, source) for key in EDGES)
    first, last = PIXELS[convention]
    x0, y0, x1, y1 = xmin + first, ymin + first, xmax + last, ymax + last
    if x1 <= x0 or y1 <= y0:
        raise InputError(
            f"{source}: inverted box, or one of no size: xmin {xmin:g}, xmax {xmax:g}, "
            f"ymin {ymin:g}, ymax {ymax:g}; correct it"
        )
    if x0 < 0 or y0 < 0 or x1 > image.width or y1 > image.height:
        raise InputError(
            f"{source}: the box {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g} leaves its image of "
            f"{image.width} x {image.height} px when pixels count {convention}; correct it, or "
            f"name another of {', '.join(PIXELS)}"
        )
    return x0, y0, x1, y1

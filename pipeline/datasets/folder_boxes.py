"""The boxes that the user has of own pictures, matched with them."""

from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.datasets.box_list import Annotated
from pipeline.datasets.coco_boxes import boxes_in
from pipeline.datasets.folder_listing import Picture
from pipeline.errors import InputError

FILES = ("boxes.csv", "boxes.json")


def boxes_of_pictures(
    root: Path, pictures: Sequence[Picture], classes: Collection[str], convention: str
) -> dict[str, Annotated]:
    """Return the boxes in `root`/boxes.csv or boxes.json by the path of their picture.

    There need be no such file, and it need not know all pictures. A box without a class is of the
    picture's only label.

    Args:
        convention: how boxes.csv counts pixels, one of `box_list.PIXELS`.

    Raises:
        InputError: both files, one that cannot be read, a box of an unknown picture or class, of a
            class that is no label of the picture, or of none where the picture has several.
    """
    given = [root / name for name in FILES if (root / name).exists()]
    if len(given) > 1:
        raise InputError(f"{root}: has {' and '.join(FILES)}; keep one of them")
    known = {picture.path: picture for picture in pictures}
    images = boxes_in(given[0], convention) if given else {}
    found = {name: own for name, own in images.items() if own.boxes_xyxy}
    for name, own in found.items():
        if name not in known:
            raise InputError(
                f"{own.sources[0]}: box of an unknown picture, {name}; the name must be the path "
                f"below {root}, as {next(iter(known))}"
            )
        own.classes[:] = _classes(own, known[name], classes)
    return found


def _classes(own: Annotated, picture: Picture, classes: Collection[str]) -> list[str]:
    """The classes of a picture's boxes, all of them labels of it."""
    named = []
    for name, source in zip(own.classes, own.sources, strict=True):
        if not name and len(picture.labels) != 1:
            raise InputError(
                f"{source}: a box without class of a picture with {len(picture.labels)} labels; "
                "add a column class"
            )
        label = name or picture.labels[0]
        if label not in classes:
            raise InputError(
                f"{source}: box of an unknown class, {label!r}; known: {', '.join(classes)}"
            )
        if label not in picture.labels:
            raise InputError(
                f"{source}: box of {label!r}, which is no label of the picture ({picture.source}: "
                f"{', '.join(picture.labels) or 'none'}); correct one of the two"
            )
        named.append(label)
    return named

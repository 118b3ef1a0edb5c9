"""Boxes alone of an annotation file in COCO's format (cocodataset.org/#format-data)."""

from pathlib import Path
from typing import Any

from pipeline.datasets.box_list import Annotated, read_boxes
from pipeline.datasets.coco import load_annotations
from pipeline.errors import InputError


def boxes_in(path: Path, convention: str) -> dict[str, Annotated]:
    """Return the images of a file of boxes by their names: COCO's format (.json), else a CSV list.

    Args:
        convention: how a CSV list counts pixels, one of `box_list.PIXELS`; COCO says it itself.

    Raises:
        InputError: as `read_coco_boxes` or `read_boxes`.
    """
    if path.suffix.lower() == ".json":
        return read_coco_boxes(path)
    return read_boxes(path, convention)


def read_coco_boxes(path: Path) -> dict[str, Annotated]:
    """Return the images of an annotation file by their `file_name`, in its order.

    Images without a box are among them; crowd regions (`iscrowd`) are no boxes and left out. Boxes
    are x, y, width, height from the corner of the first pixel, so that they are half-open.

    Raises:
        InputError: as `coco.load_annotations`, or a box that has no width or height, or leaves its
            image by more than the pixel that rounding explains.
    """
    coco = load_annotations(path)
    return {
        image["file_name"]: _annotated(path, image, coco.imgToAnns.get(id, []), coco.cats)
        for id, image in coco.imgs.items()
    }


def _annotated(
    path: Path,
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: dict[int, dict[str, Any]],
) -> Annotated:
    found = Annotated(image["width"], image["height"])
    for each in annotations:
        source = f"{path}: annotation {each['id']} ({image['file_name']})"
        x, y, width, height = each["bbox"]
        if width <= 0 or height <= 0:
            raise InputError(
                f"{source}: inverted box, or one of no size: width {width:g}, height {height:g}; "
                "correct it"
            )
        if min(x, y) < -1 or x + width > found.width + 1 or y + height > found.height + 1:
            raise InputError(
                f"{source}: the box {x:g}, {y:g}, {x + width:g}, {y + height:g} leaves its image "
                f"of {found.width} x {found.height} px; correct it"
            )
        if not each.get("iscrowd", 0):
            name = categories[each["category_id"]]["name"]
            found.add((x, y, x + width, y + height), name, source)
    return found

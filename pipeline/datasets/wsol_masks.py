"""The masks of OpenImages30k (Choe et al., CVPR 2020): listed, and joined into one an image.

A line of their localization.txt is `<image>,<mask of an object>,<mask of what is ignored>`; the
last is given once an image, and empty in its further lines.
"""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.listing import check_names, read_bytes, read_lines
from pipeline.datasets.photograph import decoded
from pipeline.errors import InputError
from pipeline.packed.record import IGNORED


class Masks(NamedTuple):
    """The mask files of an image: its objects, and what is ignored ("" for none)."""

    objects: tuple[str, ...]
    ignored: str


def listed_masks(path: Path, listed: Iterable[str]) -> dict[str, Masks]:
    """Return the masks of each listed image.

    Raises:
        InputError: the list is missing or malformed, has a line of an unlisted image, or two masks
            of what is ignored for one; an image has no line, a mask is listed twice or leads out of
            the folder.
    """
    objects: dict[str, list[str]] = {id: [] for id in listed}
    ignored: dict[str, str] = {}
    for line in read_lines(path, "lines of an image, a mask and a mask of what is ignored"):
        id, own, left_out = _parts(line, path)
        if id not in objects:
            raise InputError(f"{path}: {id!r} is not in image_ids.txt; add it or remove the line")
        objects[id].append(own)
        if left_out and ignored.setdefault(id, left_out) != left_out:
            raise InputError(f"{path}: two masks of what is ignored for {id!r}; keep one")
    for id, files in objects.items():
        if not files:
            raise InputError(f"{path}: no line for {id!r}; add it or take the image out")
    check_names([*(name for files in objects.values() for name in files), *ignored.values()], path)
    return {id: Masks(tuple(files), ignored.get(id, "")) for id, files in objects.items()}


def _parts(line: str, path: Path) -> list[str]:
    parts = line.rsplit(",", 2)
    if len(parts) != 3 or not all(parts[:2]):
        raise InputError(f"{path}: {line!r} is not an image, a mask and a mask of what is ignored")
    return parts


def joined(folder: Path, masks: Masks, width: int, height: int) -> bytes:
    """Return the mask of an image as a record has it: 1 on objects, IGNORED on what is ignored.

    Files may have another size than the image, as in Open Images, and are resized to it; what is
    marked as both is object.

    Raises:
        InputError: a file is missing, or no picture.
    """
    size = (width, height)
    on = np.any([_marked(folder / name, size) for name in masks.objects], axis=0)
    left_out = _marked(folder / masks.ignored, size) if masks.ignored else np.zeros_like(on)
    values = np.where(on, 1, np.where(left_out, IGNORED, 0)).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def _marked(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell the pixels (H, W) that a mask file marks: those that are not black."""
    with decoded(read_bytes(path, "a listed mask"), str(path)) as image:
        resized = image.convert("L").resize(size, Image.Resampling.NEAREST)
    marked: NDArray[np.bool_] = np.asarray(resized) > 0
    return marked

"""Pictures of users as a network sees them."""

from collections.abc import Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.datasets.listing import read_bytes
from pipeline.datasets.photograph import Upright, upright_pixels
from pipeline.errors import InputError
from pipeline.packed.pictures import to_tensor, warp_pixels


class Content(NamedTuple):
    """The content of a picture's file, and what the file is called."""

    name: str
    content: bytes


Source = str | PathLike[str] | Content | Image.Image | NDArray[np.uint8]
"""A picture: its file or content, a picture of Pillow, grey (H, W) or RGB (H, W, 3) pixels."""

_LOSSLESS = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
"""Modes that a PNG holds as they are."""


class Seen(NamedTuple):
    """A picture at a network's input; in a batch each part has one entry per picture.

    Attributes:
        image: (3, S, S) uint8; of a picture that cannot be read all 0.
        width, height: size of the upright picture, px.
        notes: what was done to it, a line each.
        fault: why it cannot be read; empty if it can.
    """

    image: Tensor
    width: int
    height: int
    notes: str
    fault: str


class Pictures(Dataset[Seen]):
    """Pictures at a network's input; one that cannot be read tells why, and hinders no other."""

    def __init__(self, sources: Sequence[Source], size: int, short_side: int | None) -> None:
        """Warp pictures to `size` x `size` px; `short_side` is that of the training pictures."""
        self.sources, self.size, self.short_side = sources, size, short_side

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Seen:
        try:
            name = name_of(self.sources, index)
            found, pixels = read(self.sources[index], name, self.short_side)
        except InputError as error:
            nothing = torch.zeros((3, self.size, self.size), dtype=torch.uint8)
            return Seen(nothing, 0, 0, "", str(error))
        image = to_tensor(warp_pixels(pixels, self.size))
        return Seen(image, found.width, found.height, "\n".join(found.notes), "")


def name_of(sources: Sequence[Source], index: int) -> str:
    """Return the path of a picture, or its number in the order of the call, from 1."""
    source = sources[index]
    if isinstance(source, Content):
        return source.name
    return str(source) if isinstance(source, str | PathLike) else f"picture {index + 1}"


def read(source: Source, name: str, short_side: int | None) -> tuple[Upright, Image.Image]:
    """Return a picture upright, as the network's data set would store it, and its RGB pixels.

    Raises:
        InputError: it cannot be read; names it.
    """
    if isinstance(source, Content):
        content = source.content
    elif isinstance(source, str | PathLike):
        content = read_bytes(Path(source), "a picture")
    else:
        content = _encoded(source, name)
    return upright_pixels(content, name, short_side)


def _encoded(source: Any, name: str) -> bytes:
    """Return pixels as a file without loss, so that there is one way to read pictures."""
    picture = _of_pixels(source, name) if isinstance(source, np.ndarray) else source
    if not isinstance(picture, Image.Image):
        raise InputError(f"{name}: a {type(source).__name__} is no path, Pillow image or array")
    if picture.mode in {"I", "F"}:
        raise InputError(f"{name}: 32 bits per channel; convert the picture to 8 or 16")
    buffer = BytesIO()
    usual = "RGBA" if picture.has_transparency_data else "RGB"
    kept = picture if picture.mode in _LOSSLESS else picture.convert(usual)
    kept.save(buffer, "PNG", compress_level=1, exif=picture.getexif())
    return buffer.getvalue()


def _of_pixels(pixels: NDArray[Any], name: str) -> Image.Image:
    grey = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not pixels.size or not (grey or pixels.shape[2:] == (3,)):
        raise InputError(
            f"{name}: array of type {pixels.dtype} and shape {pixels.shape}; "
            "uint8 (height, width, 3) or (height, width) is needed"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))

"""Photographs on disk: reading one, checked and reduced."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.datasets.listing import read_bytes
from pipeline.errors import InputError

_QUALITY = 90
# What official data have; to decode some other formats, EPS for one, starts programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF")
_OF_USERS = (*_FORMATS, "TIFF", "WEBP")
_KEPT = ("JPEG", "PNG")


class CorruptImage(InputError):
    """The content of a file is no picture, or a damaged one; data.skip_corrupt tolerates some."""


SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""How the names of files end that `upright` reads."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the orientation in its metadata."""

TURNED = "turned upright as its metadata say; boxes refer to the upright picture"
FIRST = "several pictures in one file; the first was taken"
WHITE = "its transparent parts were taken as white"
DEEP = "16 bits of grey were reduced to 8, from black at 0 to white at 65535"


def load(path: Path, short_side: int) -> tuple[bytes, int, int]:
    """Return (encoded image, width, height) of the photograph at `path`.

    The bytes are the file's own if it is a JPEG or PNG whose shorter side is at most `short_side`
    px; otherwise a JPEG with that shorter side. Width and height are always the original's, px.
    An orientation in the metadata is ignored: boxes refer to the pixels as they are stored.

    Raises:
        InputError: the file is missing; a CorruptImage: it is empty, truncated, no JPEG, PNG, BMP
            or GIF, too large, or has 32 bits per channel.
    """
    content = read_bytes(path, "a listed image")
    with decoded(content, str(path)) as image:
        shown = _of_8_bits(image)
        if shown is not image or min(image.size) > short_side or image.format not in _KEPT:
            return _reduce(shown, short_side), image.width, image.height
        return content, image.width, image.height


class Upright(NamedTuple):
    """A photograph as people see it.

    Attributes:
        image: encoded JPEG or PNG, upright; may be smaller than width x height.
        width, height: size of the upright original, px.
        notes: what was done to it that its owner may not expect.
    """

    image: bytes
    width: int
    height: int
    notes: tuple[str, ...]


def upright(content: bytes, name: str, short_side: int | None) -> Upright:
    """Return the photograph of a user's file, upright.

    One that is upright and opaque is stored as `load` stores it, whatever else it is: the bytes
    are the same. Other pictures become such a JPEG first: turned as the orientation in their
    metadata says, on white where they are transparent. 16 bits of grey become the 8 higher ones. Of
    several pictures in a file (an animation, pages) the first is taken.

    Args:
        content, name: those of the file.
        short_side: as in `load`; None: as large as it is.

    Raises:
        InputError: the file is empty, truncated, no picture of the formats that SUFFIXES name, too
            large, or has 32 bits per channel; names it.
    """
    return _upright(content, name, short_side)[0]


def upright_pixels(
    content: bytes, name: str, short_side: int | None
) -> tuple[Upright, Image.Image]:
    """Return what `upright` returns, and the RGB picture that its bytes encode.

    A file that is kept as it is has been decoded to be checked, and is not decoded again.
    """
    found, pixels = _upright(content, name, short_side)
    return found, pixels or Image.open(BytesIO(found.image)).convert("RGB")


def _upright(
    content: bytes, name: str, short_side: int | None
) -> tuple[Upright, Image.Image | None]:
    """Return what `upright` returns, and its RGB pixels if they are at hand."""
    with decoded(content, name, _OF_USERS) as image:
        several, turn = getattr(image, "is_animated", False), _TURNS.get(_orientation(image))
        usual = _of_8_bits(image)
        opaque = _on_white(usual)
        shown = opaque if turn is None else opaque.transpose(turn)
        limit = min(shown.size) if short_side is None else short_side
        kept = shown is image and image.format in _KEPT and min(shown.size) <= limit
        told = {
            TURNED: turn is not None,
            FIRST: several,
            WHITE: opaque is not usual,
            DEEP: usual is not image,
        }
        notes = tuple(note for note, so in told.items() if so)
        stored = content if kept else _reduce(shown, limit)
        return Upright(stored, *shown.size, notes), image.convert("RGB") if kept else None


@contextmanager
def decoded(
    content: bytes, name: str, formats: tuple[str, ...] = _FORMATS
) -> Iterator[Image.Image]:
    """Yield the first picture of a file, as it is stored; InputError names the file."""
    try:
        # Warnings are of metadata, which a few official files have damaged.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(BytesIO(content), formats=formats) as image,
        ):
            image.load()
            if image.mode in {"I", "F"}:
                raise ValueError("32 bits per channel; convert it to 8 or 16")
            yield image
    except Exception as error:  # decoders refuse damaged files each in its own way
        reason = _reason(content, error, formats)
        raise CorruptImage(f"{name}: unreadable image ({reason}); restore the file") from None


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Return `image` itself unless it has 16 bits of grey, otherwise the grey of 8 bits."""
    if not image.mode.startswith("I;16"):
        return image
    # Rounded, so that 0 stays black and 65535 white; Pillow would cut all from 255 on to white.
    return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """Return the orientation in the metadata, 1 (upright) where they are damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as for the picture itself, which is not damaged
        return 1


def _on_white(image: Image.Image) -> Image.Image:
    """Return `image` itself if all of it is opaque, otherwise RGB on white."""
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    lowest, _ = layer.getchannel("A").getextrema()
    if lowest == 255:
        return image
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _reason(content: bytes, error: Exception, formats: tuple[str, ...]) -> str:
    """Why `content` cannot be decoded."""
    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"none of {', '.join(formats)}"
    return str(error) or type(error).__name__


def check_size(path: Path, size: tuple[int, int], annotated: tuple[int, int]) -> None:
    """Check that the photograph at `path` is the annotated one; sizes are (width, height) in px.

    Raises:
        InputError: it has another size.
    """
    if size != annotated:
        found, wanted = (f"{width} x {height}" for width, height in (size, annotated))
        raise InputError(f"{path}: {found} px, but annotated as {wanted}; restore the image")


def _reduce(image: Image.Image, short_side: int) -> bytes:
    """`image` as a JPEG with the given shorter side, never enlarged."""
    scale = min(1.0, short_side / min(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    buffer = BytesIO()
    reduced = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    reduced.save(buffer, "JPEG", quality=_QUALITY, subsampling="4:2:0")
    return buffer.getvalue()

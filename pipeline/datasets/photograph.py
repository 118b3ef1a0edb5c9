"""Photographs on disk: reading one, checked and reduced."""

import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipeline.datasets.listing import read_bytes
from pipeline.errors import InputError

_QUALITY = 90
# What official data have; to decode some other formats, EPS for one, starts programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF")


def load(path: Path, short_side: int) -> tuple[bytes, int, int]:
    """Return (encoded image, width, height) of the photograph at `path`.

    The bytes are the file's own if it is a JPEG or PNG whose shorter side is at most `short_side`
    px; otherwise a JPEG with that shorter side. Width and height are always the original's, px.
    An orientation in the metadata is ignored: boxes refer to the pixels as they are stored.

    Raises:
        InputError: the file is missing, empty, truncated, no JPEG, PNG, BMP or GIF, or has more
            than 8 bits per channel.
    """
    content = read_bytes(path, "a listed image")
    try:
        # Warnings are of metadata, which a few official files have damaged.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(BytesIO(content), formats=_FORMATS) as image,
        ):
            image.load()
            if image.mode.startswith("I"):
                raise ValueError("more than 8 bits per channel")
            if min(image.size) > short_side or image.format not in {"JPEG", "PNG"}:
                return _reduce(image, short_side), image.width, image.height
            return content, image.width, image.height
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = _reason(content, error)
        raise InputError(f"{path}: unreadable image ({reason}); restore the file") from None


def _reason(content: bytes, error: Exception) -> str:
    """Why `content` cannot be decoded."""
    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"none of {', '.join(_FORMATS)}"
    return str(error)


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

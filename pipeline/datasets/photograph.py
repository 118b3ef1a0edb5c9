"""Photographs on disk: reading one, checked and reduced."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from pipeline.errors import InputError

_QUALITY = 90


def load(path: Path, short_side: int) -> tuple[bytes, int, int]:
    """Return (encoded image, width, height) of the photograph at `path`.

    The bytes are the file's own if it is a JPEG or PNG whose shorter side is at most `short_side`
    px; otherwise a JPEG with that shorter side. Width and height are always the original's, px.

    Raises:
        InputError: the file is missing, empty, truncated or no image.
    """
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            image.load()
            if min(image.size) > short_side or image.format not in {"JPEG", "PNG"}:
                content = _reduce(image, short_side)
            return content, image.width, image.height
    except FileNotFoundError:
        raise InputError(f"{path}: not found, although it is listed; restore the image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "the file is empty" if path.is_file() and not path.stat().st_size else error
        raise InputError(f"{path}: unreadable image ({reason}); restore the file") from None


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

"""Figures, pictures and maps as data URIs, small enough for a page that holds hundreds of them."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from pipeline.evaluation.localization.maps import Map, resize_map, to_levels
from pipeline.packed.record import Record

PICTURE_SIDE, MAP_SIDE = 256, 112
"""Longer sides at most, px; maps of 14 cells a side lose nothing by theirs."""
FIGURE_WIDTH = 1400
"""Of figures at most, px."""
BACKGROUND, IGNORED, FOREGROUND = 0, 1, 2
_MASK_COLOURS = np.array([[24, 58, 110], [150, 150, 150], [255, 212, 0]], np.uint8)
_QUALITY = 75


def figure(path: Path) -> str:
    """Return a figure's file of any format."""
    with Image.open(path) as image:
        shown = image.convert("RGB")
    shown.thumbnail((FIGURE_WIDTH, shown.height))
    return _uri(shown, quality=_QUALITY)


def picture(record: Record) -> str:
    """Return the picture of a record."""
    image = Image.open(BytesIO(record.image)).convert("RGB")
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return _uri(image, quality=_QUALITY)


def heat(values: Map) -> str:
    """Return a map (H, W) of any range in colours, from its minimum (dark) to its maximum."""
    return _coloured(to_levels(_small(values)))


def probabilities(values: Map) -> str:
    """Return a map (H, W) of values 0 (dark) to 1 in the same colours."""
    return _coloured((_small(values) * np.float32(255)).round().astype(np.uint8))


def mask(values: NDArray[np.uint8]) -> str:
    """Return a mask (H, W) of BACKGROUND (blue), IGNORED (grey) and FOREGROUND (yellow)."""
    width, height = _fitted(values.shape)
    image = Image.fromarray(_MASK_COLOURS[values])
    return _uri(image.resize((width, height), Image.Resampling.NEAREST), lossless=True)


def _coloured(levels: NDArray[np.uint8]) -> str:
    colours = colormaps["inferno"](levels, bytes=True)[..., :3]
    return _uri(Image.fromarray(colours), quality=_QUALITY)


def _small(values: Map) -> Map:
    width, height = _fitted(values.shape)
    return resize_map(values, height, width)


def _fitted(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the same proportions whose longer one is at most `MAP_SIDE`."""
    height, width = shape
    scale = min(1.0, MAP_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _uri(image: Image.Image, **options: int | bool) -> str:
    buffer = BytesIO()
    image.save(buffer, "WEBP", method=4, **options)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"

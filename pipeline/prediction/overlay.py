"""A picture with its boxes and the response map of the best one over it."""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from pipeline.datasets.listing import read_bytes
from pipeline.datasets.photograph import upright
from pipeline.evaluation.localization.maps import to_levels
from pipeline.files import atomic_path
from pipeline.prediction.model import Detections

SHORT_SIDE = 512
"""Overlays are no larger, px."""
SUFFIX = ".jpg"
_HEAT, _OPACITY, _COLOUR, _TEXT = "inferno", 0.5, "#ffd400", 16


def draw(picture: Path, found: Detections, path: Path) -> None:
    """Draw detections, with their maps, over a picture, upright; write a JPEG to `path`.

    Raises:
        InputError: the picture cannot be read any more.
    """
    content = read_bytes(picture, "a picture")
    image = Image.open(BytesIO(upright(content, str(picture), SHORT_SIDE).image)).convert("RGB")
    if found.response_maps is not None and len(found.response_maps):
        levels = Image.fromarray(to_levels(found.response_maps[0])).resize(image.size)
        heat = colormaps[_HEAT](np.asarray(levels), bytes=True)[..., :3]
        image = Image.blend(image, Image.fromarray(heat), _OPACITY)
    scale = np.array([image.width / found.width, image.height / found.height] * 2)
    for name, score, box in zip(found.classes, found.scores, found.boxes_xyxy, strict=True):
        _outline(image, f"{name} {score:.2f}", box * scale)
    with atomic_path(path) as temporary:
        image.save(temporary, "JPEG", quality=90)


def _outline(image: Image.Image, label: str, box: np.ndarray) -> None:
    x0, y0, x1, y1 = box.tolist()
    pen = ImageDraw.Draw(image)
    pen.rectangle([x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)], outline=_COLOUR, width=2)
    font = ImageFont.load_default(_TEXT)
    corner = (x0 + 4, y0 + 3)
    pen.rectangle(pen.textbbox(corner, label, font), fill="black")
    pen.text(corner, label, fill=_COLOUR, font=font)

"""Results as a COCO file (cocodataset.org/#format-data)."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.files import atomic_path
from pipeline.prediction.results import Result

FILE = "predictions.json"


def write(folder: Path, results: Callable[[], Iterable[Result]], classes: Sequence[str]) -> Path:
    """Write all results into one file, a few at a time; return its path.

    Images, categories and annotations are counted from 1. A box is x, y, width, height in px; an
    annotation has its probability as `score`, as in COCO's result format.

    Args:
        results: gives the results anew at each call.
    """
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    with atomic_path(folder / FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"categories": {json.dumps(categories)},\n"images": [')
        file.writelines(_separated(_images(results())))
        file.write('],\n"annotations": [')
        file.writelines(_separated(_annotations(results())))
        file.write("]}\n")
    return folder / FILE


def _separated(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield JSON, a line for each entry, and commas between them."""
    for place, entry in enumerate(entries):
        yield (",\n" if place else "\n") + json.dumps(entry)


def _images(results: Iterable[Result]) -> Iterator[dict[str, Any]]:
    for number, result in enumerate(results, 1):
        size = {"width": result.width, "height": result.height}
        yield {"id": number, "file_name": result.name, **size}


def _annotations(results: Iterable[Result]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, result in enumerate(results, 1):
        for box in result.boxes:
            number += 1
            x0, y0, x1, y1 = box.box_xyxy
            yield {
                "id": number,
                "image_id": image,
                "category_id": box.label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
                "score": box.score,
            }

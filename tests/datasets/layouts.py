"""Tiny data sets of coloured shapes in the layouts of COCO 2014, ILSVRC and the WSOL lists."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.pictures import SHAPES, draw

SIZE = (60, 40)
COCO_IDS = {"person": 1, "car": 3, "cat": 17}
SYNSETS = {"n01440764": "red", "n01443537": "lime"}
BIRDS = {"001.Red_bird": "red", "002.Blue_bird": "blue"}
BOX = (10, 5, 40, 30)
"""The half-open box of the only object of most pictures."""


def write_tiny_coco(root: Path) -> None:
    """COCO 2014 with 10 training and 4 val pictures of person, car and cat.

    Of both, the second has a person in a crowd beside its own object and the last no object.
    """
    for part, count in (("train2014", 10), ("val2014", 4)):
        _write_coco_part(root, part, count)


def _write_coco_part(root: Path, part: str, count: int) -> None:
    images, annotations = [], []
    for number in range(1, count + 1):
        file = f"COCO_{part}_{number:012}.jpg"
        width, height = SIZE
        images.append({"id": number, "file_name": file, "width": width, "height": height})
        objects = _coco_objects(number) if number < count else []
        draw(root / part / file, SIZE, [(SHAPES[name], box) for name, box, _ in objects])
        for name, (x0, y0, x1, y1), crowd in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": COCO_IDS[name],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": crowd,
                }
            )
    # The official files do not list the categories by id either.
    categories = [{"id": COCO_IDS[name], "name": name} for name in SHAPES]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(root / f"annotations/instances_{part}.json", content)


def _coco_objects(number: int) -> list[tuple[str, list[int], int]]:
    objects = [(list(COCO_IDS)[number % 3], [4, 6, 24, 30], 0)]
    return [*objects, ("person", [40, 20, 60, 40], 1)] if number == 2 else objects


def write_json(path: Path, content: Any) -> None:
    """Write `content`, NaN included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_tiny_ilsvrc(root: Path) -> None:
    """ILSVRC's CLS-LOC with 5 training and 5 val pictures of each of two synsets.

    Number 3 of the blacklist is a val picture.
    """
    folder = root / "ILSVRC"
    for synset, colour in SYNSETS.items():
        for number in range(5):
            path = folder / f"Data/CLS-LOC/train/{synset}/{synset}_{number}.JPEG"
            draw(path, SIZE, [(colour, list(BOX))])
    for number in range(1, 11):
        synset, colour = list(SYNSETS.items())[number % 2]
        id = f"ILSVRC2012_val_{number:08}"
        draw(folder / f"Data/CLS-LOC/val/{id}.JPEG", SIZE, [(colour, list(BOX))])
        write_ilsvrc_annotation(root, id, [(synset, BOX)])
    blacklist = folder / "devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt"
    blacklist.parent.mkdir(parents=True)
    blacklist.write_text("3\n49999\n")


def write_ilsvrc_annotation(
    root: Path, id: str, objects: Iterable[tuple[str, tuple[int, int, int, int]]]
) -> Path:
    """Annotate a val picture with half-open boxes, as ILSVRC does: from 0, last pixel included."""
    body = "".join(
        f"<object><name>{synset}</name><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1 - 1}</xmax><ymax>{y1 - 1}</ymax>"
        "</bndbox></object>"
        for synset, (x0, y0, x1, y1) in objects
    )
    path = root / f"ILSVRC/Annotations/CLS-LOC/val/{id}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{body}</annotation>")
    return path


def write_tiny_wsol(root: Path) -> None:
    """The lists and pictures of CUB and of ILSVRC, with 10, 4 and 6 pictures of two classes."""
    birds, synsets = list(BIRDS), list(SYNSETS)
    for part, count in {"train": 10, "val": 4, "test": 6}.items():
        cub = [f"{birds[n % 2]}/{part}_{n}.jpg" for n in range(count)]
        ilsvrc = {
            "train": [f"train/{synsets[n % 2]}/{synsets[n % 2]}_{n}.JPEG" for n in range(count)],
            "val": [f"val2/{n % 2}/{n}.jpeg" for n in range(count)],
            "test": [f"val/ILSVRC2012_val_{n + 1:08}.JPEG" for n in range(count)],
        }
        _write_wsol_part(root, "CUB", part, cub)
        _write_wsol_part(root, "ILSVRC", part, ilsvrc[part])


CODES = {"0bt_c3": "red", "0by6g": "lime"}
IGNORED_BOX = (30, 20, 60, 40)
"""What the mask of ignored pixels marks; it overlaps BOX."""


def write_tiny_openimages(root: Path) -> None:
    """OpenImages30k: 10, 4 and 6 pictures of two classes; objects are in two masks, one of 30 x 20.

    Lists, names and sizes are as in the authors' repository: no image_sizes.txt, masks beside the
    pictures, the mask of what is ignored in the first line of an image alone.
    """
    codes, left, right = list(CODES), (10, 5, 26, 30), (26, 5, 40, 30)
    for part, count in {"train": 10, "val": 4, "test": 6}.items():
        ids = [f"{part}/{codes[n % 2]}/{n:016x}.jpg" for n in range(count)]
        lists = {"image_ids": ids, "class_labels": [f"{id},{n % 2}" for n, id in enumerate(ids)]}
        for number, id in enumerate(ids):
            stem, code = id.removesuffix(".jpg"), codes[number % 2]
            draw(root / "dataset/OpenImages" / id, SIZE, [(CODES[code], list(BOX))])
            if part == "train":
                continue
            masks = {
                f"{stem}_m{code}_3581e3ae.png": (left, 1),
                f"{stem}_m{code}_d2422806.png": (right, 2),
                f"{stem}_ignore.png": (IGNORED_BOX, 1),
            }
            for name, (box, reduced) in masks.items():
                _write_mask(root / "dataset/OpenImages" / name, box, reduced)
            one, two, ignored = masks
            lists.setdefault("localization", []).extend([f"{id},{one},{ignored}", f"{id},{two},"])
        for name, lines in lists.items():
            file = root / f"metadata/OpenImages/{part}/{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(lines) + "\n")


def _write_mask(path: Path, box: tuple[int, int, int, int], reduced: int) -> None:
    """Write a mask of one bit a pixel, white in the box, of SIZE divided by `reduced`."""
    mask = Image.new("1", (SIZE[0] // reduced, SIZE[1] // reduced))
    x0, y0, x1, y1 = (edge // reduced for edge in box)
    mask.paste(1, (x0, y0, x1, y1))
    mask.save(path)


def _write_wsol_part(root: Path, benchmark: str, part: str, paths: list[str]) -> None:
    """Write the lists and pictures of a split, whose labels are 0 and 1 in turn."""
    labels = {path: number % 2 for number, path in enumerate(paths)}
    colours = list((BIRDS if benchmark == "CUB" else SYNSETS).values())
    x0, y0, x1, y1 = BOX
    if (benchmark, part) == ("ILSVRC", "test"):
        x1, y1 = x1 - 1, y1 - 1  # The last pixel is in the box, as in the official annotations.
    lists: dict[str, list[str]] = {
        "image_ids": paths,
        "class_labels": [f"{path},{label}" for path, label in labels.items()],
    }
    if part != "train":
        lists["image_sizes"] = [f"{path},{SIZE[0]},{SIZE[1]}" for path in labels]
        lists["localization"] = [f"{path},{x0},{y0},{x1},{y1}" for path in labels]
    for name, lines in lists.items():
        file = root / f"metadata/{benchmark}/{part}/{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    for path, label in labels.items():
        draw(root / "dataset" / benchmark / path, SIZE, [(colours[label], list(BOX))])

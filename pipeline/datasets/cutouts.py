"""The embedded data set `cutouts`: photographic cut-outs pasted on photographic backgrounds.

A scene is a stack of layers: objects of the classes, and distractors (things of no class, and
blobs of other backgrounds). Every layer is pasted in the same way, so that a paste by itself says
nothing about where the object is. Masks and boxes are of what is still visible when the stack is
complete.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import compositing
from pipeline.datasets.compositing import Floats
from pipeline.errors import InputError
from pipeline.packed.record import SPLITS, Dataset, Record, Split, Task
from pipeline.params import CutoutsParams

T = TypeVar("T")

DISTRACTOR = "other"  # the label of cut-outs that belong to no class
TASKS = ("multi", "single")
# Chances of 1, 2, ... objects
OBJECT_COUNTS: Mapping[Task, tuple[float, ...]] = {"multi": (0.35, 0.4, 0.25), "single": (1.0,)}
MAX_DISTRACTORS = 4
DISTRACTOR_SIZE = (0.12, 0.3)  # square root of the area as a share of the side of the scene
BLOB_SHARE = 0.5  # of the distractors are pieces of backgrounds
BLOB_SIDE = 128  # px
MAX_CUT = 0.2  # share of a layer's side that may lie outside the scene
MIN_VISIBLE = 0.6  # share of an object that later layers leave uncovered
PLACEMENT_TRIES = 10
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Picture:
    """A cut-out (RGBA) or background (RGB): archive path, class or context, and pixels."""

    file: str
    label: str
    image: Image.Image


@dataclass(frozen=True)
class Library:
    """The pictures of one split: cut-outs by class or `other`, backgrounds by context."""

    context_of_class: Mapping[str, str]
    cutouts: Mapping[str, Sequence[Picture]]
    backgrounds: Mapping[str, Sequence[Picture]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in alphabetical order; a label is an index into them."""
        return tuple(sorted(self.context_of_class))


@dataclass(frozen=True)
class Plan:
    """What a scene is made of, before anything is placed; the first object is the main one."""

    background: Picture
    objects: tuple[Picture, ...]
    distractors: tuple[Picture, ...]


@dataclass(frozen=True)
class Scene:
    """A composited picture.

    Attributes:
        image: RGB.
        mask: uint8 (side, side): 0 background, i the visible part of the i-th object from 1.
        objects: in the order of the mask; those of the plan that found a place.
    """

    image: Image.Image
    mask: NDArray[np.uint8]
    objects: tuple[Picture, ...]


def read(root: Path, params: CutoutsParams, task: Task, seed: int) -> Dataset:
    """Return the scenes that are composited from the unpacked archive in `root`.

    Scene i of a split depends on `params`, `task`, `seed` and i only, and is made when asked for.

    Raises:
        InputError: the manifest is missing or none; when a split is first asked for a record: one
            of its pictures is missing or unreadable.
    """
    classes = tuple(sorted(_read_manifest(root)["classes"]))
    counts = (params.train_scenes, params.val_scenes, params.test_scenes)
    splits = {
        split: Split(partial(_records, root, split, params, task, seed), range(count))
        for split, count in zip(SPLITS, counts, strict=True)
    }
    return Dataset(f"cutouts_{task}", task, classes, splits)


def load_library(root: Path, split: str) -> Library:
    """Return the decoded pictures of `split` (train, val or test) under `root`.

    Raises:
        InputError: the manifest or a picture of the split is missing or unreadable.
    """
    manifest = _read_manifest(root)

    def by_label(kind: str, mode: str) -> dict[str, list[Picture]]:
        pictures: dict[str, list[Picture]] = {}
        for entry in manifest[kind]:
            if entry["split"] == split:
                picture = _read_picture(root, entry["file"], entry["label"], mode)
                pictures.setdefault(picture.label, []).append(picture)
        return pictures

    return Library(manifest["classes"], by_label("cutouts", "RGBA"), by_label("backgrounds", "RGB"))


def plan_scene(
    library: Library, params: CutoutsParams, task: Task, rng: np.random.Generator
) -> Plan:
    """Draw the pictures of a scene, objects of different classes.

    The background is of the main object's own context with probability `context_bias`, else of a
    context drawn from all. Each of MAX_DISTRACTORS is there with probability `clutter`.
    """
    chances = OBJECT_COUNTS[task]
    count = 1 + rng.choice(len(chances), p=chances)
    names = [library.classes[k] for k in rng.permutation(len(library.classes))[:count]]
    objects = tuple(_pick(library.cutouts[name], rng) for name in names)
    context = _pick(sorted(library.backgrounds), rng)
    if rng.random() < params.context_bias:
        context = library.context_of_class[names[0]]
    background = _pick(library.backgrounds[context], rng)
    extras = rng.binomial(MAX_DISTRACTORS, params.clutter)
    return Plan(background, objects, tuple(_distractor(library, rng) for _ in range(extras)))


def compose(plan: Plan, side: int, sizes: Sequence[float], rng: np.random.Generator) -> Scene:
    """Paste the pictures of `plan` in random order and uniformly drawn places.

    A layer that would hide more of an object than MIN_VISIBLE allows, wherever it is tried, is
    left out; so the first object is always there.

    Args:
        side: of the scene, px.
        sizes: smallest and largest object: square root of its area as a share of `side`.
    """
    canvas = compositing.crop_square(plan.background.image, side, rng)
    mask = np.zeros((side, side), np.uint8)
    areas = [0]  # px of each object when it was pasted; entry 0 stands for the background
    objects: list[Picture] = []
    stack = plan.objects + plan.distractors
    for index in rng.permutation(len(stack)):
        is_object = index < len(plan.objects)
        low, high = sizes if is_object else DISTRACTOR_SIZE
        size = side * rng.uniform(low, high)
        layer = compositing.to_layer(stack[index].image, size, rng)
        place = _find_place(layer, mask, areas, rng)
        if place is None:
            continue
        window, cut = place
        compositing.paste(canvas[window], cut)
        opaque = cut[..., 3] > compositing.OPAQUE
        if is_object:
            objects.append(stack[index])
            areas.append(int(opaque.sum()))
        mask[window][opaque] = len(objects) if is_object else 0
    return Scene(compositing.to_photograph(canvas, rng), mask, tuple(objects))


def boxes_of(mask: NDArray[np.uint8], count: int) -> Floats:
    """Return the tight boxes (count, 4) xyxy, half-open, of the values 1..count of `mask`."""
    boxes = np.empty((count, 4), np.float32)
    for number in range(1, count + 1):
        rows, columns = np.nonzero(mask == number)
        boxes[number - 1] = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return boxes


def _records(
    root: Path, split: str, params: CutoutsParams, task: Task, seed: int, numbers: Iterable[int]
) -> Iterator[Record]:
    """Yield the scenes of these numbers of a split, each from a generator of its own."""
    library = load_library(root, split)
    stream = (seed, TASKS.index(task), SPLITS.index(split))
    for index in numbers:
        rng = np.random.default_rng((*stream, index))
        yield _record(f"{split}-{index:05d}", library, params, task, rng)


def _record(
    name: str, library: Library, params: CutoutsParams, task: Task, rng: np.random.Generator
) -> Record:
    """Compose scenes until one has an object that is not difficult; return it."""
    side = params.scene_size
    sizes = params.multi_size if task == "multi" else params.single_size
    while True:
        scene = compose(plan_scene(library, params, task, rng), side, sizes, rng)
        boxes = boxes_of(scene.mask, len(scene.objects))
        difficult = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)) < params.difficult_size * side
        if not difficult.all():
            break
    labels = np.array([library.classes.index(picture.label) for picture in scene.objects])
    return Record(
        id=name,
        image=_encode(scene.image, "JPEG", quality=JPEG_QUALITY, subsampling=0),
        width=side,
        height=side,
        labels=tuple(sorted(labels[~difficult].tolist())),
        boxes_xyxy=boxes,
        box_labels=labels.astype(np.int64),
        difficult=difficult,
        mask=_encode(Image.fromarray(scene.mask), "PNG"),
    )


def _find_place(
    layer: Floats, mask: NDArray[np.uint8], areas: Sequence[int], rng: np.random.Generator
) -> tuple[tuple[slice, slice], Floats] | None:
    """Return where on the canvas `layer` goes and the part of it that is inside, or None."""
    needed = MIN_VISIBLE * np.array(areas)
    visible = np.bincount(mask.ravel(), minlength=len(areas))
    for _ in range(PLACEMENT_TRIES):
        spans = [
            _span(inner, outer, rng)
            for inner, outer in zip(layer.shape[:2], mask.shape, strict=True)
        ]
        window = (spans[0][0], spans[1][0])
        cut = layer[spans[0][1], spans[1][1]]
        hidden = mask[window][cut[..., 3] > compositing.OPAQUE]
        left = visible - np.bincount(hidden, minlength=len(areas))
        if hidden.size and (left >= needed)[1:].all():
            return window, cut
    return None


def _span(inner: int, outer: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a place for a side `inner` on a side `outer`: the overlap in the outer, in the inner."""
    start = round(rng.uniform(-MAX_CUT * inner, outer - (1 - MAX_CUT) * inner))
    first, last = max(start, 0), min(start + inner, outer)
    return slice(first, last), slice(first - start, last - start)


def _distractor(library: Library, rng: np.random.Generator) -> Picture:
    """Draw a thing of no class, or a blob of a background."""
    if rng.random() >= BLOB_SHARE:
        return _pick(library.cutouts[DISTRACTOR], rng)
    source = _pick(library.backgrounds[_pick(sorted(library.backgrounds), rng)], rng)
    return Picture(source.file, DISTRACTOR, compositing.blob(source.image, BLOB_SIDE, rng))


def _pick(items: Sequence[T], rng: np.random.Generator) -> T:
    """Draw one of `items`."""
    return items[int(rng.integers(len(items)))]


def _read_manifest(root: Path) -> dict[str, Any]:
    """Return manifest.json: `classes` (name -> context), `cutouts` and `backgrounds`."""
    path = root / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run `dvc repro download`") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); run `dvc repro download`") from None
    return manifest


def _read_picture(root: Path, file: str, label: str, mode: str) -> Picture:
    """Decode one picture of the archive."""
    path = root / file
    try:
        with Image.open(path) as image:
            return Picture(file, label, image.convert(mode))
    except (OSError, SyntaxError) as error:
        raise InputError(
            f"{path}: missing or unreadable ({error}); delete {root} and run `dvc repro download`"
        ) from None


def _encode(image: Image.Image, format: str, **options: int) -> bytes:
    """Return `image` as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()

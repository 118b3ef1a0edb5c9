"""The data-set card: what the pictures are, whose, and how many of what there are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from pipeline.packed.store import PackedSplit
from pipeline.params import Section


class About(Section):
    """What a source of pictures is, in words, and under which terms."""

    what: str
    licence: str


def _read() -> dict[str, About]:
    text = files(__package__).joinpath("data_sets.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, About]).validate_python(YAML(typ="safe").load(text))


ABOUT = _read()
"""By the name that params.yaml has for the source."""


@dataclass(frozen=True)
class Count:
    """A split: images, their labels, images all of whose labels have a box, boxes, and `difficult`
    ones among these; `by_class` counts labels."""

    split: str
    images: int
    labels: int
    boxed: int
    objects: int
    difficult: int
    by_class: Mapping[str, int]


@dataclass(frozen=True)
class DataCard:
    """The data set of a track; a benchmark's `name` only if the pictures are that benchmark's."""

    track: str
    name: str
    about: About
    classes: tuple[str, ...]
    counts: tuple[Count, ...]


def data_card(track: str, source: str, splits: Mapping[str, PackedSplit]) -> DataCard:
    """Count the splits of a track, without looking at a picture.

    Args:
        source: the name of the data set in params.yaml.
    """
    first = next(iter(splits.values()))
    counts = tuple(_count(name, split) for name, split in splits.items())
    return DataCard(track, first.name, ABOUT[source], first.classes, counts)


def _count(name: str, split: PackedSplit) -> Count:
    images = boxed = objects = difficult = 0
    labels: Counter[int] = Counter()
    for row in split.columns("labels", "box_labels", "difficult"):
        images += 1
        labels.update(row["labels"])
        boxed += set(row["labels"]) <= set(row["box_labels"])
        objects += len(row["box_labels"])
        difficult += sum(row["difficult"])
    by_class = {cls: labels[label] for label, cls in enumerate(split.classes)}
    return Count(name, images, labels.total(), boxed, objects, difficult, by_class)

"""Figures with the words that go with them, and the list of them on disk."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files import write_json

BOXES = "Blue: true boxes. Yellow, dashed: predicted ones."
OWN_SCALE = "Each map has its own scale."
NO_BOXES = "The test pictures have no boxes."


@dataclass(frozen=True)
class Illustration:
    """A figure of a paper.

    Attributes:
        path: its file, .jpg or .png; None if it could not be made, as `caption` tells.
        title: what it is, with the number that it has in the paper.
        alt: what is to be seen, for those who do not see it.
        caption: what is shown, by which rule pictures were chosen, what differs from the paper.
    """

    path: Path | None
    title: str
    alt: str
    caption: str


def absent(title: str, reason: str) -> Illustration:
    """Return a figure that could not be made; `reason` is a sentence."""
    return Illustration(None, title, "", reason)


def write_listing(path: Path, found: Iterable[Illustration]) -> None:
    """Write the list of figures to the JSON `path`, their files by name alone."""
    lines = [asdict(each) | {"path": each.path and each.path.name} for each in found]
    write_json(path, lines)


def read_listing(path: Path, folder: Path) -> list[Illustration]:
    """Return the figures of the list `path`, whose files lie in `folder`.

    Raises:
        InputError: there is no list.
    """
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run `dvc repro illustrate`") from None
    return [
        Illustration(**line | {"path": line["path"] and folder / line["path"]}) for line in lines
    ]

"""Annotation files in the XML format of PASCAL VOC, which ILSVRC uses too."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.listing import pixels, read_bytes
from pipeline.errors import InputError

_FLAGS = {"0": False, "1": True}


@dataclass(frozen=True)
class AnnotatedObject:
    """One <object>.

    Attributes:
        name: the class, as written.
        corners: xmin, ymin, xmax, ymax as written; the last pixel is part of the object.
        difficult, truncated: False where the file does not say.
    """

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool
    truncated: bool


def read_objects(path: Path) -> list[AnnotatedObject]:
    """Return the objects of an annotation file, in its order; their parts (head, hand) are ignored.

    Raises:
        InputError: the file is missing, no XML, declares a document type, is no annotation, or has
            a coordinate that is no number of pixels or a flag that is neither 0 nor 1.
    """
    root = _parse(path)
    if root.tag != "annotation":
        raise InputError(f"{path}: its root is <{root.tag}>, not <annotation>; restore the file")
    elements = root.findall("object")
    return [_object(element, f"{path}: object {i}") for i, element in enumerate(elements, 1)]


def _object(element: ET.Element, source: str) -> AnnotatedObject:
    xmin, ymin, xmax, ymax = (
        _number(element, f"bndbox/{edge}", source) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    return AnnotatedObject(
        name=element.findtext("name", "").strip(),
        corners=(xmin, ymin, xmax, ymax),
        difficult=_flag(element, "difficult", source),
        truncated=_flag(element, "truncated", source),
    )


def _number(element: ET.Element, key: str, source: str) -> float:
    text = element.findtext(key)
    try:
        return pixels(text or "")
    except ValueError:
        raise InputError(f"{source} has {key} {text!r}, no number of pixels; correct it") from None


def _flag(element: ET.Element, key: str, source: str) -> bool:
    text = element.findtext(key, "0").strip()
    if text not in _FLAGS:
        raise InputError(f"{source} has {key} {text!r}; allowed: 0, 1")
    return _FLAGS[text]


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type, the only place where XML can declare entities.

    Called before any entity can expand, whatever the file's encoding.
    """

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError("declares a document type, which annotations never do; remove it")


def _parse(path: Path) -> ET.Element:
    """The root element of an annotation file."""
    content = read_bytes(path, "the objects of a listed image")
    try:
        return ET.fromstring(content, parser=ET.XMLParser(target=_NoDoctype()))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ET.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{path}: not valid XML ({error}); restore the file") from None

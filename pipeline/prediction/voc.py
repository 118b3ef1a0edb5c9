"""A result as an annotation file of PASCAL VOC."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.prediction.results import Result


def annotation(result: Result, classes: Sequence[str]) -> str:
    """Return the XML of a picture's boxes.

    Pixels are counted from 1 and the last one belongs to the box, as VOC has it. VOC knows no
    scores; they stand in an element of their own, `score`, which readers of VOC pass over.
    """
    root = ET.Element("annotation")
    name = PurePosixPath(result.name)
    _add(root, "folder", str(name.parent))
    _add(root, "filename", name.name)
    size = ET.SubElement(root, "size")
    for key, value in (("width", result.width), ("height", result.height), ("depth", 3)):
        _add(size, key, str(value))
    for box in result.boxes:
        found = ET.SubElement(root, "object")
        _add(found, "name", classes[box.label])
        for key in ("truncated", "difficult"):
            _add(found, key, "0")
        _add(found, "score", f"{box.score:.6f}")
        corners = ET.SubElement(found, "bndbox")
        x0, y0, x1, y1 = box.box_xyxy
        edges = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
        for key, edge in edges.items():
            _add(corners, key, f"{edge:g}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, key: str, text: str) -> None:
    ET.SubElement(parent, key).text = text

"""Drawing pictures of coloured shapes, with annotations that fit them to the pixel."""

from pathlib import Path

from PIL import Image, ImageDraw

SHAPES = {"car": "red", "cat": "lime", "person": "blue"}


def draw(path: Path, size: tuple[int, int], shapes: list[tuple[str, list[int]]]) -> None:
    """Write a picture of `size` with filled boxes [x0, y0, x1, y1) of the given colours."""
    picture = Image.new("RGB", size, "gray")
    for colour, (x0, y0, x1, y1) in shapes:
        ImageDraw.Draw(picture).rectangle([x0, y0, x1 - 1, y1 - 1], fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def voc_object(name: str, box: list[int], difficult: int = 0) -> str:
    """One <object> for the half-open box, written as VOC does: from 1, last pixel included."""
    edges = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    bndbox = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
    flag = f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{flag}<bndbox>{bndbox}</bndbox></object>"


def write_voc_image(root: Path, id: str, objects: list[tuple[str, list[int], int]]) -> None:
    """Add a 60 x 40 picture and its annotation to the devkit in `root`."""
    folder = root / "VOCdevkit/VOC2007"
    shapes = [(SHAPES.get(name, "white"), box) for name, box, _ in objects]
    draw(folder / f"JPEGImages/{id}.jpg", (60, 40), shapes)
    body = "".join(voc_object(*item) for item in objects)
    (folder / "Annotations").mkdir(exist_ok=True)
    (folder / f"Annotations/{id}.xml").write_text(f"<annotation>{body}</annotation>")

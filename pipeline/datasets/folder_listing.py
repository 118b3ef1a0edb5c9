"""The user's own pictures and their labels: a folder for each class, or a CSV file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.datasets.csv_table import rows
from pipeline.datasets.listing import check_names
from pipeline.datasets.photograph import SUFFIXES
from pipeline.errors import InputError
from pipeline.packed.record import SPLITS

LABELS = "labels.csv"
SEPARATOR = ";"
"""Stands between the labels of a picture."""
_COLUMNS = ("path", "labels", "split")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the user's.

    Attributes:
        path: below the root, with "/" between folders; names the picture everywhere.
        labels: in the order given; none for a picture that shows no class.
        split: one of `SPLITS`; None if the pictures are still to be dealt.
        source: the file, and the line in it, that lists the picture, for messages.
    """

    path: str
    labels: tuple[str, ...]
    split: str | None
    source: str


def listed_pictures(root: Path) -> list[Picture]:
    """Return the pictures below `root`, by `labels.csv` if there is one, else by class folders.

    Either all of them are told their split or none.

    Raises:
        InputError: no pictures, a class folder without one, a file that is no picture by its name,
            a line that is malformed, or names a picture that is not there or was named before.
    """
    if not (root / LABELS).exists():
        return list(_by_folders(root))
    pictures = list(_by_lines(root))
    if not pictures:
        raise InputError(f"{root / LABELS}: line 2: no pictures below the names of the columns")
    return pictures


def _by_folders(root: Path) -> Iterator[Picture]:
    """Pictures in `<class>/`, or in `<split>/<class>/` if the root has folders of splits alone."""
    names = {folder.name for folder in _folders(root)}
    if not names:
        raise InputError(
            f"{root}: neither {LABELS} nor a folder of pictures for each class; add one of them"
        )
    if {"train", "test"} <= names <= set(SPLITS):
        for split in (name for name in SPLITS if name in names):
            yield from _of_classes(root, f"{split}/", split)
    else:
        yield from _of_classes(root, "", None)


def _of_classes(root: Path, prefix: str, split: str | None) -> Iterator[Picture]:
    folders = _folders(root / prefix)
    if not folders:
        raise InputError(f"{root / prefix}: has no folder of a class; add pictures or remove it")
    for folder in folders:
        files = [path for path in _visible(folder) if not path.is_dir()]
        if nested := _folders(folder):
            raise InputError(
                f"{nested[0]}: a folder in the folder of a class; put the pictures of class "
                f"{folder.name!r} right into {folder}. For a split of your own the root must have "
                "the folders train, test and, if you like, val alone"
            )
        if not files:
            raise InputError(f"{folder}: label {folder.name!r} has no picture; add or remove it")
        for path in files:
            _check_suffix(path.name, str(path))
            label = (_label(folder.name, str(folder)),)
            yield Picture(f"{prefix}{folder.name}/{path.name}", label, split, str(path))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, but for what file managers hide, sorted by name."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _by_lines(root: Path) -> Iterator[Picture]:
    """The pictures of `labels.csv`, in its order."""
    path, lines = root / LABELS, dict[str, str]()
    for source, row in rows(path, "pictures and labels", _COLUMNS[:2], "split if it is fixed"):
        if unknown := [name for name in row if name not in _COLUMNS]:
            raise InputError(
                f"{path}: line 1: column {unknown[0]!r} is none of {', '.join(_COLUMNS)}; "
                "rename or remove it"
            )
        name = PurePosixPath(row["path"]).as_posix()
        check_names([name], source)
        if name in lines:
            raise InputError(f"{source}: {name} was named before ({lines[name]}); keep one line")
        if not (root / name).is_file():
            raise InputError(f"{source}: {root / name} not found; correct the path or restore it")
        _check_suffix(name, source)
        lines[name] = source.removeprefix(f"{path}: ")
        yield Picture(name, _labels(row["labels"], source), _split(row, source), source)


def _labels(text: str, source: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(SEPARATOR)) if text.strip() else ()
    if len(set(labels)) < len(labels):
        raise InputError(f"{source}: labels {text!r} have one twice; name each once")
    return tuple(_label(label, source) for label in labels)


def _label(label: str, source: str) -> str:
    """Refuse a name that tables, or the names of files, cannot show."""
    if not label or any(letter in label for letter in "/\\|\n\r"):
        raise InputError(f"{source}: {label!r} is no label: empty, or with / \\ or |; rename it")
    return label


def _split(row: dict[str, str], source: str) -> str | None:
    if "split" not in row:
        return None
    if row["split"] not in SPLITS:
        raise InputError(f"{source}: split {row['split']!r} is none of {', '.join(SPLITS)}")
    return row["split"]


def _check_suffix(name: str, source: str) -> None:
    if not name.lower().endswith(SUFFIXES):
        raise InputError(
            f"{source}: {name} is no picture ({', '.join(SUFFIXES)}); convert it or take it out"
        )

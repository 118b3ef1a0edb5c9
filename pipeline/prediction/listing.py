"""Which pictures the words of a command line name, and what they are called."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.datasets.photograph import SUFFIXES
from pipeline.errors import InputError
from pipeline.prediction.results import STATE


class Listing(NamedTuple):
    """Pictures, each once.

    Attributes:
        root: the folder that all of them are in.
        names: their paths below it, in the order of the words; in folders by name.
    """

    root: Path
    names: list[str]

    def path(self, name: str) -> Path:
        """Where a picture is."""
        return self.root / name


def pictures_of(words: Sequence[str]) -> Listing:
    """Return the pictures that `words` name: files, folders with all below them, and patterns.

    In folders those files count whose names end as SUFFIXES say, hidden ones and results left out;
    a file that is named counts whatever its name. In patterns ** stands for any folders.

    Raises:
        InputError: a word names nothing, or a folder without pictures, or a name is no text.
    """
    found = [_as_text(os.path.abspath(path)) for word in words for path in _pictures(word)]
    names = dict.fromkeys(found)
    alone = os.path.abspath(words[0])
    folders = {os.path.dirname(path) for path in names}
    root = alone if len(words) == 1 and os.path.isdir(alone) else os.path.commonpath(folders)
    return Listing(Path(root), [Path(os.path.relpath(path, root)).as_posix() for path in names])


def check_stems(names: Iterable[str]) -> None:
    """Check that files named after pictures, with another ending, do not meet.

    Raises:
        InputError: two pictures differ in their ending alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        stem = str(PurePosixPath(name).with_suffix(""))
        if (other := seen.setdefault(stem, name)) != name:
            raise InputError(
                f"{other} and {name}: both would give the file {PurePosixPath(stem).name}; rename "
                "one, or take them into different folders"
            )


def _pictures(word: str) -> Iterator[str]:
    """Yield the pictures of a word, in order."""
    paths = [word] if os.path.exists(word) else sorted(glob.glob(word, recursive=True))
    if not paths:
        raise InputError(f"{word}: no such picture, folder or pattern; check the path")
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        inside = list(_below(path))
        if not inside and len(paths) == 1:
            raise InputError(
                f"{path}: a folder without pictures; it needs files that end in "
                f"{', '.join(SUFFIXES)}"
            )
        yield from inside


def _as_text(path: str) -> str:
    """Return `path`, which results can name; InputError if its bytes are no UTF-8."""
    if not path.isascii() and path.encode(errors="ignore").decode() != path:
        raise InputError(f"{path!r}: the name is no UTF-8, which results are written in; rename it")
    return path


def _below(folder: str) -> Iterator[str]:
    """Yield the pictures in a folder and below it, by name."""
    for path, folders, files in os.walk(folder):
        if STATE in folders:  # results of an earlier call, whose overlays are no pictures of users
            folders.clear()
            continue
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield os.path.join(path, file)

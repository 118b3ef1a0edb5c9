"""The folder of a call's results, which an equal call goes on with.

Beside what the format writes it has a folder `.predict`: the call, a lock, and a line of JSON for
each picture that is done, written after the files of the picture.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ValidationError

from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.locks import locked

STATE = ".predict"
"""The folder, below that of the results, of what an equal call needs."""


class Box(BaseModel, frozen=True):
    """A detection: its class by number, its probability, and its box as in `Detections`."""

    label: int
    score: float
    box_xyxy: tuple[float, float, float, float]


class Result(BaseModel, frozen=True):
    """What was found in a picture.

    Attributes:
        name: of the picture, below the root of the call's pictures.
        stamp: size in bytes and time of change of its file, which tell whether it is the same.
        width, height: size of the upright picture, px.
        boxes: best first.
    """

    name: str
    stamp: tuple[int, int]
    width: int
    height: int
    boxes: tuple[Box, ...]


def stamp_of(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file; (0, 0) where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


class Results:
    """The pictures that are done; of one that was done twice the last result counts.

    In memory are names and places in the file alone, whatever the number of boxes.
    """

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        """Read what is done from `file`, open for reading and appending; drop half a line."""
        self.folder, self._file = folder, file
        self._places: dict[str, tuple[int, tuple[int, int]]] = {}
        place = 0
        for line in file:
            try:
                result = Result.model_validate_json(line)
            except ValidationError:
                break
            if not line.endswith(b"\n"):
                break
            self._places[result.name] = place, result.stamp
            place += len(line)
        file.truncate(place)

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Return the stamp of a picture that is done, None of any other."""
        return self._places[name][1] if name in self._places else None

    def add(self, result: Result) -> None:
        """Note that a picture is done; its files must be complete."""
        self._file.seek(0, os.SEEK_END)
        self._places[result.name] = self._file.tell(), result.stamp
        self._file.write(result.model_dump_json().encode() + b"\n")
        self._file.flush()

    def of(self, names: list[str]) -> Iterator[Result]:
        """Yield the results of those pictures that are done, in the order of `names`."""
        for name in names:
            if name in self._places:
                self._file.seek(self._places[name][0])
                yield Result.model_validate_json(self._file.readline())


@contextmanager
def results_of(folder: Path, call: Mapping[str, Any]) -> Iterator[Results]:
    """Yield what is done of `call` in `folder`, which is made if need be.

    Raises:
        InputError: the folder holds other files, or results of another call, another process writes
            into it, or it cannot be written.
    """
    with _writable(folder):
        _claim(folder, call)
        with (
            locked(folder / STATE / "lock", "this prediction"),
            (folder / STATE / "done.jsonl").open("a+b") as file,
        ):
            file.seek(0)
            yield Results(folder, file)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); make room or name another folder with "
            "--out, and run it again"
        ) from None


def _claim(folder: Path, call: Mapping[str, Any]) -> None:
    """Make `folder` the one of `call`'s results."""
    path = folder / STATE / "call.json"
    if not path.exists():
        if folder.exists() and {each.name for each in folder.iterdir()} - {STATE}:
            raise InputError(f"{folder}: not empty; name a new folder with --out")
        write_json(path, call)
        return
    try:
        before = json.loads(path.read_bytes())
        other = [key for key in call if before[key] != json.loads(json.dumps(call[key]))]
    except (ValueError, KeyError, TypeError):
        other = [path.name]
    if other:
        raise InputError(
            f"{folder}: holds results of another call ({', '.join(other)} differ); name another "
            "folder with --out, or remove this one"
        )

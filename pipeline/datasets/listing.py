"""The text files of a data set: read whole, with one clear error for each fault."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import InputError

MOST_PIXELS = 1e6
"""More than any picture has on a side."""


def read_bytes(path: Path, holds: str) -> bytes:
    """Return the content of `path`; `holds` says what that is, for the message.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: not found; it holds {holds}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); restore the file") from None


def read_lines(path: Path, holds: str) -> list[str]:
    """Return the lines of the text file `path`, stripped, without empty ones.

    Raises:
        InputError: the file is missing, unreadable, no UTF-8 text or without a line.
    """
    try:
        text = read_bytes(path, holds).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: no UTF-8 text; restore the file") from None
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if not lines:
        raise InputError(f"{path}: empty; it holds {holds}")
    return lines


def pixels(text: str) -> float:
    """Return the coordinate or length that `text` gives, in px.

    Raises:
        ValueError: it is no number, or beyond `MOST_PIXELS`.
    """
    value = float(text)
    if not abs(value) <= MOST_PIXELS:
        raise ValueError(f"{text!r} is no number of pixels")
    return value


def check_names(names: Iterable[str], path: Path | str) -> None:
    """Check the image names that the file `path`, or a line of a file, lists.

    Raises:
        InputError: a name is listed twice, or leads out of the folder of the images.
    """
    for name, count in Counter(names).items():
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
            raise InputError(f"{path}: {name!r} leads out of the folder of the images; refused")
        if count > 1:
            raise InputError(f"{path}: {name!r} is listed {count} times; list it once")

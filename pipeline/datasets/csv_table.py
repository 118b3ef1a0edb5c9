"""Tables in CSV files whose first line names the columns."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.datasets.listing import read_bytes
from pipeline.errors import InputError


def rows(
    path: Path, holds: str, needed: Sequence[str], further: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row by the names of its columns, behind the file and line that it stands in.

    Args:
        holds: what the file is, for the message when it is missing.
        needed: columns that must be there; others are the caller's business.
        further: names them, for the message when a needed one is not there.

    Raises:
        InputError: the file is missing, no UTF-8 text or lacks a column; a row is too short or too
            long. The message names the line.
    """
    try:
        text = read_bytes(path, holds).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: no UTF-8 text; restore the file") from None
    lines = csv.reader(io.StringIO(text, newline=""))
    names = next(lines, [])
    if missing := [name for name in needed if name not in names]:
        raise InputError(
            f"{path}: line 1: no column {', '.join(missing)}; the first line names the columns: "
            f"{','.join(needed)}, and {further}"
        )
    for cells in lines:
        source = f"{path}: line {lines.line_num}"
        if len(cells) != len(names):
            raise InputError(f"{source}: {len(cells)} cells for {len(names)} columns; correct it")
        yield source, dict(zip(names, cells, strict=True))

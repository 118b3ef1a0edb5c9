"""Checksums: published ones, and those recorded on a first download."""

import hashlib
import re
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.progress import reading

_BLOCK = 2**20
_FORM = re.compile(r"(?:md5:)?([0-9a-f]{32})|(?:sha256:)?([0-9a-f]{64})")
_RECORDED = re.compile(r"\b[0-9a-f]{64}\b", re.IGNORECASE)


class CorruptFile(InputError):
    """The content of a file is not what it must be."""


def parse(checksum: str) -> tuple[str, str]:
    """Return algorithm and digits, "md5" or "sha256", of a checksum as people write it.

    Capitals and blanks do not matter, and digits without a name tell it by their number. InputError
    for what no file could have.
    """
    form = _FORM.fullmatch("".join(checksum.split()).lower())
    if form is None:
        raise InputError(
            f"checksum {checksum!r} is neither md5:<32 hex digits> nor sha256:<64 hex digits>; "
            "copy it from the publisher's page"
        )
    md5, sha256 = form.groups()
    return ("md5", md5) if md5 else ("sha256", sha256)


def verify(path: Path, checksum: str) -> None:
    """Compare the content of `path` with `checksum`, as `parse` reads it.

    Raises:
        CorruptFile: an InputError that names the file, the expected and the found checksum.
        InputError: the file cannot be read, or `checksum` has another form.
    """
    algorithm, expected = parse(checksum)
    found = _digest(path, algorithm)
    if found != expected:
        raise CorruptFile(
            f"{path}: {algorithm} is {found}, expected {expected}: corrupt, or another file"
        )


def record_file(target: Path) -> Path:
    """Where the checksum of `target` is recorded, in the format of sha256sum."""
    return target.with_name(f"{target.name}.sha256")


def recorded(target: Path) -> str:
    """Return the checksum recorded for `target` as "sha256:<hex>", or "" if there is none."""
    path = record_file(target)
    if not path.exists():
        return ""
    found = _RECORDED.search(path.read_text(errors="replace"))
    if found is None:
        raise InputError(f"{path}: holds no sha256; restore it, or remove it")
    return f"sha256:{found[0].lower()}"


def record(path: Path, target: Path) -> str:
    """Record the content of `path` as the one that `target` must have; return its sha256."""
    digest = _digest(path, "sha256")
    with atomic_path(record_file(target)) as temporary:
        temporary.write_text(f"{digest}  {target.name}\n")
    return digest


def _digest(path: Path, algorithm: str) -> str:
    """The checksum of a file of any size, read block by block, with a progress bar."""
    # Machines in FIPS mode allow md5 only for other uses than security.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as file, reading(file, f"verifying {path.name}") as watched:
            while block := watched.read(_BLOCK):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); restore it") from None

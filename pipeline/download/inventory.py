"""What lies in a folder, in few words: it changes when the files do, and not with their place."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def inventory(root: Path, folders: tuple[Path, ...]) -> dict[str, str | int]:
    """Count the files of these folders of `root` and hash their sorted names and sizes."""
    lines = sorted(line for folder in folders for line in _listing(root, folder))
    digest = hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
    return {"files": len(lines), "sha256_of_names_and_sizes": digest}


def _listing(root: Path, folder: Path) -> Iterator[str]:
    """Name and size of each file below a folder of `root`."""
    for path in (root / folder).rglob("*"):
        if path.is_file():
            yield f"{path.relative_to(root).as_posix()} {path.stat().st_size}"

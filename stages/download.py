"""Stage `download`: provide the data sets that params.yaml names.

An embedded one is verified and unpacked into data/raw. Another one is downloaded and unpacked
outside the outs of DVC, unless its environment variable says where it lies; what is there is
recorded in data/raw, so that other files there, once seen, rerun the stages that follow.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pipeline.datasets import sources
from pipeline.datasets.record import Task
from pipeline.datasets.sources import External, Source
from pipeline.download.archives import DISTRIBUTIONS
from pipeline.download.provide import provide
from pipeline.download.transfer import verify
from pipeline.download.unpack import unpack
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.folders import atomic_folder
from pipeline.params import Params
from stages import run
from stages.paths import RAW, download_folder

EMBEDDED = Path("data")
EMBEDDED_LIMIT = 256 * 2**20
"""Bytes that an embedded archive may unpack to."""


def download(params: Params) -> None:
    """Fill data/raw with `<name>/` for embedded data sets and `<name>.json` for the others.

    Raises:
        InputError: data that cannot be had, is corrupt or unsafe; data/raw is then left as it was.
    """
    used = dict(sources.find(params.data, task) for task in get_args(Task))
    with atomic_folder(RAW) as folder:
        for name, source in used.items():
            put(name, source, folder)


def put(name: str, source: Source, folder: Path) -> None:
    """Put the data set into `folder`: unpacked, or its inventory if it is external."""
    if source.external:
        root = external_root(name, source.external)
        write_json(folder / f"{name}.json", inventory(root, source.external.folders))
    else:
        unpack_embedded(EMBEDDED / name / f"{name}.zip", folder / name)


def external_root(name: str, external: External) -> Path:
    """Return the folder that has the external data set, downloaded if need be."""
    downloaded = download_folder(name)
    if external.given() is None and name in DISTRIBUTIONS:
        provide(DISTRIBUTIONS[name], downloaded)
    return external.root(downloaded)


def unpack_embedded(zipped: Path, folder: Path) -> None:
    """Unpack an archive of the repository after a look at its checksum."""
    if not zipped.is_file():
        raise InputError(f"{zipped}: not found; restore it (git checkout {zipped})")
    try:
        verify(zipped, f"sha256:{_expected_sha256(zipped)}")
    except InputError as error:
        raise InputError(f"{error}: restore the file (git checkout {zipped})") from None
    unpack(zipped, folder, limit=EMBEDDED_LIMIT)


def _expected_sha256(zipped: Path) -> str:
    """The first word of `<archive>.sha256`, the output of sha256sum."""
    path = zipped.with_name(f"{zipped.name}.sha256")
    try:
        return path.read_text().split()[0]
    except (FileNotFoundError, IndexError):
        raise InputError(f"{path}: missing or empty; restore it (git checkout {path})") from None


def inventory(root: Path, folders: tuple[Path, ...]) -> dict[str, str | int]:
    """Count the files of these folders of `root` and hash their sorted names and sizes."""
    lines = sorted(line for folder in folders for line in _listing(root, folder))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"files": len(lines), "sha256_of_names_and_sizes": digest}


def _listing(root: Path, folder: Path) -> Iterator[str]:
    """Name and size of each file below a folder of `root`."""
    for path in (root / folder).rglob("*"):
        if path.is_file():
            yield f"{path.relative_to(root).as_posix()} {path.stat().st_size}"


if __name__ == "__main__":
    run(download)

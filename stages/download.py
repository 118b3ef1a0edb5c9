"""Stage `download`: provide the data sets that params.yaml names.

An embedded one is verified and unpacked. One outside the repository is only looked at: what is
there is recorded, so that other files there, once seen, rerun the stages that follow.
"""

import hashlib
from pathlib import Path
from typing import get_args

from pipeline.datasets import archive, sources
from pipeline.datasets.record import Task
from pipeline.datasets.sources import External, Source
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.folders import atomic_folder
from pipeline.params import Params
from stages import run
from stages.paths import RAW

EMBEDDED = Path("data")


def download(params: Params) -> None:
    """Fill data/raw with `<name>/` for embedded data sets and `<name>.json` for external ones.

    Raises:
        InputError: see `provide`; data/raw is then left as it was.
    """
    used = dict(sources.find(params.data, task) for task in get_args(Task))
    with atomic_folder(RAW) as folder:
        for name, source in used.items():
            provide(name, source, folder)


def provide(name: str, source: Source, folder: Path) -> None:
    """Put the data set into `folder`: unpacked, or its inventory if it is external.

    Raises:
        InputError: a corrupt or unsafe archive, or a missing data root.
    """
    if source.external:
        write_json(folder / f"{name}.json", inventory(source.external))
    else:
        zipped = EMBEDDED / name / f"{name}.zip"
        archive.unpack(zipped, folder / name, _expected_sha256(zipped))


def _expected_sha256(zipped: Path) -> str:
    """The first word of `<archive>.sha256`, the output of sha256sum."""
    path = zipped.with_name(f"{zipped.name}.sha256")
    try:
        return path.read_text().split()[0]
    except (FileNotFoundError, IndexError):
        raise InputError(f"{path}: missing or empty; restore it (git checkout {path})") from None


def inventory(external: External) -> dict[str, str | int]:
    """Count the files of an external data set and hash their sorted names and sizes."""
    root = external.root()
    files = [path for path in (root / external.contains).rglob("*") if path.is_file()]
    lines = sorted(f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in files)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"files": len(files), "sha256_of_names_and_sizes": digest}


if __name__ == "__main__":
    run(download)

"""Stage `download`: provide the data sets that params.yaml names.

An embedded one is verified and unpacked into data/raw. Another one is downloaded and unpacked
outside the outs of DVC, unless its environment variable says where it lies; what is there is
recorded in data/raw, so that other files there, once seen, rerun the stages that follow.
"""

from pathlib import Path
from typing import get_args

from pipeline.datasets import sources
from pipeline.datasets.sources import External
from pipeline.download.archives import DISTRIBUTIONS
from pipeline.download.checksum import record_file, recorded, verify
from pipeline.download.disk import writing
from pipeline.download.inventory import inventory
from pipeline.download.provide import provide
from pipeline.download.unpack import unpack
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.folders import atomic_folder
from pipeline.packed.record import Task
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
    with writing(RAW):
        inventories = {
            name: inventory(external_root(name, source.external), source.external.folders)
            for name, source in used.items()
            if source.external
        }
        with atomic_folder(RAW) as folder:
            for name in used:
                if name in inventories:
                    write_json(folder / f"{name}.json", inventories[name])
                else:
                    unpack_embedded(EMBEDDED / name / f"{name}.zip", folder / name)


def external_root(name: str, external: External) -> Path:
    """Return the folder that has the external data set, downloaded if need be."""
    downloaded = download_folder(name)
    if external.given() is None and name in DISTRIBUTIONS:
        provide(DISTRIBUTIONS[name], downloaded)
    return external.root(downloaded)


def unpack_embedded(zipped: Path, folder: Path) -> None:
    """Unpack an archive of the repository after a look at its checksum, `<archive>.sha256`."""
    try:
        for path in (zipped, record_file(zipped)):
            if not path.is_file():
                raise InputError(f"{path}: not found")
        verify(zipped, recorded(zipped))
    except InputError as error:
        raise InputError(f"{error} (git checkout {zipped.parent} restores it)") from None
    unpack(zipped, folder, limit=EMBEDDED_LIMIT)


if __name__ == "__main__":
    run(download)

"""Stage `download`: provide the data sets that params.yaml names, and look at what lies outside.

An embedded data set is verified and unpacked into data/raw. Another one is downloaded and unpacked
outside the outs of DVC, unless its environment variable says where it lies; data/raw then has its
inventory, and data/files that of the files that params.yaml names. So other files there, once
seen, rerun the stages that read them. data/outside.txt lists what is outside, or says
"nothing": the stage `look_again` adds a line to a list, so that DVC finds it changed and runs this
stage in every `dvc repro` as long as something outside is in use.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from pipeline.checksum import record_file, recorded, verify
from pipeline.datasets import sources
from pipeline.datasets.sources import External
from pipeline.download.archives import DISTRIBUTIONS
from pipeline.download.disk import writing
from pipeline.download.inventory import Inventory, inventory
from pipeline.download.provide import provide
from pipeline.download.unpack import unpack
from pipeline.errors import InputError
from pipeline.files import atomic_path, write_json
from pipeline.folders import atomic_folder
from pipeline.packed.record import Task
from pipeline.params import Params
from pipeline.progress import say
from pipeline.workspace import located
from stages import run
from stages.paths import FILES, OUTSIDE, RAW, SEEN, download_folder

EMBEDDED = Path("data")
EMBEDDED_LIMIT = 256 * 2**20
"""Bytes that an embedded archive may unpack to."""

Found = dict[str, Inventory]
"""What lies outside, by the name of the data set or the key of the parameter."""


def download(params: Params) -> None:
    """Fill data/raw with `<name>/` for embedded data sets and `<name>.json` for the others.

    data/files gets a `<key>.json` for each parameter that can name a file, empty if it names none.

    Raises:
        InputError: data that cannot be had, is corrupt or unsafe; data/raw is then left as it was.
    """
    used = dict(sources.find(params.data, task) for task in get_args(Task))
    files = named_files(params)
    before = seen_before()
    with writing(RAW):
        outside = {
            name: data_set(name, source.external, before.get(name))
            for name, source in used.items()
            if source.external
        }
        outside |= {
            key: named_file(key, path, before.get(key)) for key, path in files.items() if path
        }
        with atomic_folder(RAW) as folder:
            for name in used:
                if name in outside:
                    write_content(folder, name, outside)
                else:
                    unpack_embedded(EMBEDDED / name / f"{name}.zip", folder / name)
        with atomic_folder(FILES) as folder:
            for key in files:
                write_content(folder, key, outside)
        write_json(SEEN, {name: found.model_dump() for name, found in outside.items()})
        with atomic_path(OUTSIDE) as path:
            path.write_text("".join(f"{name}\n" for name in sorted(outside) or ["nothing"]))


def named_files(params: Params) -> dict[str, Path | None]:
    """The files that parameters name, by their keys; None for one that is not read."""
    pretrain = params.pretrain
    difficult = params.evaluate.difficult_list
    return {
        "pretrain.file": located(pretrain.file) if pretrain.source == "file" else None,
        "evaluate.difficult_from": difficult and located(difficult),
    }


def seen_before() -> Found:
    """What the last run found outside; nothing if that is not known."""
    try:
        return TypeAdapter(Found).validate_json(SEEN.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def data_set(name: str, external: External, before: Inventory | None) -> Inventory:
    """Take stock of an external data set, downloaded if need be.

    A download that was deleted after it had been packed is not fetched again.
    """
    downloaded = download_folder(name)
    if external.given() is None:
        if before and not downloaded.exists():
            say(f"{downloaded}: not there any more; what was packed of it stays in use")
            return before
        if name in DISTRIBUTIONS:
            provide(DISTRIBUTIONS[name], downloaded)
    return inventory(external.root(downloaded), external.folders + external.optional, before)


def named_file(key: str, path: Path, before: Inventory | None) -> Inventory:
    """Take stock of the file that a parameter names."""
    if not path.is_file():
        raise InputError(f"{key}: {path} not found; correct the parameter or restore the file")
    return inventory(path.parent, (Path(path.name),), before)


def write_content(folder: Path, name: str, outside: Mapping[str, Inventory]) -> None:
    """Write `<name>.json`: what decides a result, so not the times of the files."""
    found = outside.get(name)
    write_json(folder / f"{name}.json", found.model_dump(exclude={"state"}) if found else {})


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

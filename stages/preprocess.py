"""Stage `preprocess`: turn one track's data set into a packed folder per split."""

from pathlib import Path
from typing import get_args

from pipeline.datasets import sources
from pipeline.datasets.packing import pack
from pipeline.datasets.sources import Source
from pipeline.errors import InputError
from pipeline.fingerprint import fingerprint
from pipeline.packed.record import Task
from pipeline.params import Params
from pipeline.processes import workers
from stages import run
from stages.paths import PACKED, RAW, download_folder


def preprocess(params: Params, track: Task) -> None:
    """Write data/packed/<track>/{train,val,test}; `track` is multi or single.

    Run again after it was cut off, it keeps the parts that were complete.

    Raises:
        InputError: no such track or data set, missing or bad data, an empty split, another run of
            the same track; the old folder, if any, is then still there.
    """
    if track not in get_args(Task):
        raise InputError(f"track {track!r} is none of {', '.join(get_args(Task))}")
    name, source = sources.find(params.data, track)
    root = folder_of(name, source)
    dataset = source.read(root, params, track)
    sections = (params.data, params.cutouts, params.folder)
    # Complete parts stay when more is tolerated.
    settings = [params.seed, *(s.model_dump(exclude={"skip_corrupt"}) for s in sections)]
    raw = sorted(path for path in RAW.rglob("*") if path.is_file())
    origin = fingerprint([str(root.absolute()), *settings], raw)
    pack(dataset, PACKED / track, origin, workers(), params.data.skip_corrupt)


def folder_of(name: str, source: Source) -> Path:
    """Return where the data set called `name` lies; InputError if it is not there."""
    root = source.external.root(download_folder(name)) if source.external else RAW / name
    if not root.is_dir():
        raise InputError(f"{root}: not found; run `dvc repro download`")
    return root


if __name__ == "__main__":
    run(preprocess)

"""Stage `preprocess`: turn one track's data set into a packed file per split."""

from typing import get_args

from pipeline.datasets import sources
from pipeline.datasets.record import SPLITS, Dataset, Task
from pipeline.datasets.store import write_split
from pipeline.errors import InputError
from pipeline.folders import atomic_folder
from pipeline.params import Params
from stages import run
from stages.paths import PACKED, RAW


def preprocess(params: Params, track: Task) -> None:
    """Write data/packed/<track>/{train,val,test}.arrow; `track` is multi or single.

    Raises:
        InputError: no such track or data set, missing or bad data, an empty split; the old
            files, if any, are then still there.
    """
    if track not in get_args(Task):
        raise InputError(f"track {track!r} is none of {', '.join(get_args(Task))}")
    dataset = open_dataset(params, track)
    with atomic_folder(PACKED / track) as folder:
        for split in SPLITS:
            write_split(folder / f"{split}.arrow", dataset, split)


def open_dataset(params: Params, track: Task) -> Dataset:
    """Describe the data set of `track` as it lies in its folder.

    Raises:
        InputError: params.yaml names no data set that suits the track, or it is not there.
    """
    name, source = sources.find(params.data, track)
    root = source.external.root() if source.external else RAW / name
    if not root.is_dir():
        raise InputError(f"{root}: not found; run `dvc repro download`")
    return source.read(root, params, track)


if __name__ == "__main__":
    run(preprocess)

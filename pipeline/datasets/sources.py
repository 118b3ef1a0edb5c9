"""The data sets that params.yaml can name.

Adding one is a new file with a `read` and a line in `SOURCES`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets import cub, cutouts, voc
from pipeline.datasets.record import Dataset, Task
from pipeline.errors import InputError
from pipeline.params import DataParams, Params


@dataclass(frozen=True)
class External:
    """A folder outside the repository.

    Attributes:
        variable: the environment variable that names the folder.
        contains: what must be in it.
    """

    variable: str
    contains: Path

    def root(self) -> Path:
        """Return the folder.

        Raises:
            InputError: the variable is not set, or the folder lacks `contains`.
        """
        value = os.environ.get(self.variable)
        if not value:
            raise InputError(
                f"{self.variable} is not set; set it to the folder that contains {self.contains}"
            )
        if not (Path(value) / self.contains).is_dir():
            raise InputError(
                f"{self.variable}={value}: has no folder {self.contains}; "
                f"set {self.variable} to the folder that contains it"
            )
        return Path(value)


@dataclass(frozen=True)
class Source:
    """A data set: the tracks that it suits, how it is read from a folder, and where that is.

    Attributes:
        external: where its files are; None for a data set embedded in the repository.
    """

    tasks: tuple[Task, ...]
    read: Callable[[Path, Params, Task], Dataset]
    external: External | None = None


SOURCES = {
    "cutouts": Source(
        ("multi", "single"),
        lambda root, p, task: cutouts.read(root, p.cutouts, task, p.seed),
    ),
    "voc": Source(
        ("multi",),
        lambda root, p, task: voc.read(root, p.data, p.seed),
        External("VOC_ROOT", voc.FOLDER),
    ),
    "cub": Source(
        ("single",),
        lambda root, p, task: cub.read(root, p.data, p.seed),
        External("CUB_ROOT", cub.FOLDER),
    ),
}


def find(data: DataParams, task: Task) -> tuple[str, Source]:
    """Return the name and the source that `data.<task>` of params.yaml asks for.

    Raises:
        InputError: there is no such data set, or it does not suit the track.
    """
    name = {"multi": data.multi, "single": data.single}[task]
    suitable = [key for key, source in SOURCES.items() if task in source.tasks]
    if name not in suitable:
        raise InputError(f"params.yaml: data.{task}: {name!r} is none of {', '.join(suitable)}")
    return name, SOURCES[name]

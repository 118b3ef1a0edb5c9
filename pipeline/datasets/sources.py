"""The data sets that params.yaml can name.

Adding one is a new file with a `read` and a line in `SOURCES`; what can be downloaded of it is a
line in `pipeline.download.archives.DISTRIBUTIONS` under the same name.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets import coco, cub, cutouts, folder, ilsvrc, voc, wsol
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Task
from pipeline.params import DataParams, Params
from pipeline.workspace import located


@dataclass(frozen=True)
class External:
    """Files outside the repository: in the folder that a variable names, or downloaded.

    Attributes:
        variable: the environment variable that names a folder with the unpacked files.
        folders: what must be in it.
        optional: what some parameters need besides.
        only_given: nothing is downloaded: the variable must be set.
    """

    variable: str
    folders: tuple[Path, ...]
    optional: tuple[Path, ...] = ()
    only_given: bool = False

    def given(self) -> Path | None:
        """Return the folder that the variable names; None if it is not set."""
        value = os.environ.get(self.variable)
        return located(value) if value else None

    def root(self, downloaded: Path) -> Path:
        """Return the folder that has the files: the given one, else `downloaded`.

        Raises:
            InputError: it lacks one of the folders, or the variable is not set and must be.
        """
        root = self.given()
        if root is None and self.only_given:
            raise InputError(
                f"{self.variable} is not set: set it to your folder (docs/own-data.md tells how it "
                f"must look), as in `{self.variable}=/data/pictures dvc exp run ...`"
            )
        remedy = f"set {self.variable} to the folder that contains it"
        if root is None:
            root = downloaded
            remedy = f"delete data/seen.json and run `dvc repro` to download it, or {remedy}"
        for needed in self.folders:
            if not (root / needed).is_dir():
                missing = f"has no folder {needed}" if needed.parts else "no such folder"
                raise InputError(f"{root}: {missing}; {remedy}")
        return root


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
    "voc2007": Source(
        ("multi",),
        lambda root, p, task: voc.read(root, voc.VOC2007, p.data, p.seed),
        External("VOC_ROOT", (voc.VOC2007.folder,)),
    ),
    "voc2012": Source(
        ("multi",),
        lambda root, p, task: voc.read(root, voc.VOC2012, p.data, p.seed),
        External("VOC_ROOT", (voc.VOC2012.folder,)),
    ),
    "coco2014": Source(
        ("multi",),
        lambda root, p, task: coco.read(root, p.data, p.seed),
        External("COCO_ROOT", coco.FOLDERS),
    ),
    "cub": Source(
        ("single",),
        lambda root, p, task: cub.read(root, p.data, p.seed),
        External("CUB_ROOT", (cub.FOLDER,)),
    ),
    "ilsvrc": Source(
        ("single",),
        lambda root, p, task: ilsvrc.read(root, p.data, p.seed),
        External("ILSVRC_ROOT", ilsvrc.FOLDERS, (ilsvrc.DEVKIT,)),
    ),
    "wsol_cub": Source(
        ("single",),
        lambda root, p, task: wsol.read(root, "CUB", p.data, p.seed),
        External("WSOL_ROOT", wsol.folders("CUB")),
    ),
    "wsol_ilsvrc": Source(
        ("single",),
        lambda root, p, task: wsol.read(root, "ILSVRC", p.data, p.seed),
        External("WSOL_ROOT", wsol.folders("ILSVRC")),
    ),
    "wsol_openimages": Source(
        ("single",),
        lambda root, p, task: wsol.read(root, "OpenImages", p.data, p.seed),
        External("WSOL_ROOT", wsol.folders("OpenImages")),
    ),
    "folder": Source(
        ("multi", "single"),
        lambda root, p, task: folder.read(root, p.data, p.folder, task, p.seed),
        External("FOLDER_ROOT", (Path(),), only_given=True),
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

"""Boxes for any number of pictures, here or in an object store, on Ray Data (docs.ray.io).

Tasks read and decode pictures, networks look at them in actors; both call what `pipeline.predict`
calls. Rows are written as they come, so that memory does not grow with their number.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import torch
from pyarrow import fs

from pipeline.datasets.photograph import SUFFIXES
from pipeline.errors import InputError, first_line
from pipeline.prediction.model import Detections, TrainedModel, load
from pipeline.prediction.pictures import Content, Pictures, Seen

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("classes", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("boxes_xyxy", pa.list_(pa.list_(pa.float32()))),
        ("fault", pa.string()),
    ]
)
"""What is written of a picture; `fault` tells why one cannot be read, and is empty otherwise."""


@dataclass(frozen=True)
class Job:
    """What networks are to do; all but `networks` as for `pipeline.predict`.

    Attributes:
        model: its folder, which each machine must have.
        networks: how many look at pictures at a time, each on a GPU of its own if there are any.
    """

    model: str
    threshold: float | None
    boxes_from: str | None
    min_score: float | None
    batch_size: int
    networks: int

    def load(self) -> TrainedModel:
        """Return the model."""
        return load(self.model, self.threshold, self.boxes_from)


def predict(addresses: Sequence[str], out: str, job: Job) -> int:
    """Write Parquet files of SCHEMA into the folder `out`; return how many pictures there were.

    Args:
        addresses: pictures, and folders with all below them whose names end as SUFFIXES say: paths,
            or addresses of an object store that pyarrow knows (s3://, gs://, abfs://).
        out: a path or such an address.

    Raises:
        InputError: Ray is not installed, `out` has files, the model cannot be used, or nothing can
            be read or written.
    """
    ray = _ray()
    model = job.load()
    model.least_score(job.min_score)
    system, folder = _empty(out)
    code = {"py_modules": [str(Path(__file__).parents[1])]}
    ray.init(runtime_env=code, log_to_driver=False, ignore_reinit_error=True)
    ray.data.DataContext.get_current().enable_progress_bars = os.isatty(2)
    seen = {"size": model.input.size, "short_side": model.description.short_side}
    try:
        files = ray.data.read_binary_files(
            [_whole(address) for address in addresses],
            include_paths=True,
            file_extensions=[suffix.removeprefix(".") for suffix in SUFFIXES],
        )
        found = files.map_batches(decode, fn_kwargs=seen, batch_size=job.batch_size).map_batches(
            Network,
            fn_constructor_kwargs={"job": asdict(job) | {"model": os.path.abspath(job.model)}},
            batch_size=job.batch_size,
            concurrency=job.networks,
            num_cpus=1,
            num_gpus=1 if torch.cuda.is_available() else 0,
        )
        found.write_parquet(_whole(out))
    except Exception as error:  # Ray tells of all faults in its own ways
        cause = getattr(error, "cause", None) or error
        raise InputError(
            f"Ray Data cannot go on ({first_line(cause)}); mend it, run it again with "
            "an empty --out"
        ) from error
    finally:
        ray.shutdown()
    return int(pads.dataset(folder, schema=SCHEMA, filesystem=system).count_rows())


def faults(out: str) -> Iterator[str]:
    """Yield why pictures of `out` could not be read."""
    system, folder = located(out)
    rows = pads.dataset(folder, schema=SCHEMA, filesystem=system)
    for batch in rows.to_batches(columns=["fault"], filter=pc.field("fault") != ""):
        yield from batch["fault"].to_pylist()


def _empty(out: str) -> tuple[fs.FileSystem, str]:
    """Return what `located` returns of a folder that has no files, or is not there."""
    try:
        system, folder = located(out)
        there = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{out}: cannot be used ({first_line(error)}); name another") from None
    if there:
        raise InputError(f"{out}: not empty; name a new folder with --out")
    return system, folder


def located(address: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or address, and the path on it."""
    if "://" in address:
        system, path = fs.FileSystem.from_uri(address)
        return system, path
    return fs.LocalFileSystem(), os.path.abspath(address)


def _whole(address: str) -> str:
    return address if "://" in address else os.path.abspath(address)


def decode(files: Mapping[str, Any], size: int, short_side: int | None) -> dict[str, Any]:
    """Return the columns of `Seen`, and the paths, of files that Ray has read."""
    pairs = zip(files["path"], files["bytes"], strict=True)
    pictures = Pictures([Content(str(path), own) for path, own in pairs], size, short_side)
    seen = [pictures[index] for index in range(len(pictures))]
    columns = {key: np.array([getattr(each, key) for each in seen]) for key in Seen._fields[1:]}
    return columns | {"path": files["path"], "image": np.stack([each.image for each in seen])}


class Network:
    """A model in an actor."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        own = Job(**job)
        self._model = own.load()
        self._least = self._model.least_score(own.min_score)

    def __call__(self, columns: Mapping[str, Any]) -> pa.Table:
        """Return a table of SCHEMA for the columns of `decode`."""
        values = {key: columns[key] for key in Seen._fields[1:]}
        batch = Seen(torch.from_numpy(columns["image"].copy()), **values)
        names = [str(path) for path in columns["path"]]
        found = self._model.found_in(batch, names, self._least, maps=False)
        rows = [row_of(name, each) for name, each in zip(names, found, strict=True)]
        return pa.Table.from_pylist(rows, schema=SCHEMA)


def row_of(path: str, found: Detections | InputError) -> dict[str, Any]:
    """Return the row of a picture."""
    if isinstance(found, InputError):
        return {"path": path, "classes": [], "scores": [], "boxes_xyxy": [], "fault": str(found)}
    return {
        "path": path,
        "width": found.width,
        "height": found.height,
        "classes": list(found.classes),
        "scores": found.scores.tolist(),
        "boxes_xyxy": found.boxes_xyxy.tolist(),
        "fault": "",
    }


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise InputError(
            f"package {error.name} is not installed, which prediction at scale needs; "
            "run `.venv/bin/python -m pip install '.[ray]'`"
        ) from None
    return ray

"""Predictions of one network on one data set, in one Arrow file read by memory map."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import atomic_path

Map = NDArray[np.float32]

_MAP = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("values", pa.binary())])
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("scores", pa.list_(pa.float32())),
        ("map_classes", pa.list_(pa.int32())),
        ("maps", pa.list_(_MAP)),
        ("further_maps", pa.list_(pa.list_(_MAP))),
        ("proposal_map", _MAP),
        ("guidance", pa.map_(pa.string(), _MAP)),
    ]
)
EVALUATE = "--glob 'evaluate*'"
"""What `dvc repro` runs to make the predictions of all networks."""

_BATCH = 64
_NO_MAPS = np.zeros((0, 1, 1), np.float32)


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        scores: (C,) class scores; probabilities on the single-label track, logits otherwise.
        map_classes: (k,) the classes whose response maps are kept.
        maps: (k, h, w) response maps at the network's resolution, unbounded.
        proposal_map: (h, w) with sum 1, or None.
        guidance: (h, w) maps in [0, 1] by branch, SPG only.
        further_maps: the same as `maps` of the image at other input sizes (`evaluate.scales`).
    """

    id: str
    split: str
    scores: NDArray[np.float32]
    map_classes: NDArray[np.int64]
    maps: Map
    proposal_map: Map | None = None
    guidance: dict[str, Map] = field(default_factory=dict)
    further_maps: tuple[Map, ...] = ()

    def map_of(self, label: int) -> Map:
        """Return the response map (h, w) of class `label`; KeyError when it was not kept."""
        return self.maps_of(label)[0]

    def maps_of(self, label: int) -> list[Map]:
        """Return the maps of a class at all input sizes, `map_of` first; KeyError as there."""
        found = np.flatnonzero(self.map_classes == label)
        if not len(found):
            raise KeyError(f"{self.id}: no response map of class {label}")
        return [maps[found[0]] for maps in (self.maps, *self.further_maps)]


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write `predictions` to `path`; the same predictions give the same bytes."""
    rows: list[dict[str, Any]] = []
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), _SCHEMA) as writer:

        def flush() -> None:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_SCHEMA))
            rows.clear()

        for prediction in predictions:
            rows.append(_row(prediction))
            if len(rows) == _BATCH:
                flush()
        if rows:
            flush()


def read_predictions(path: Path, split: str, stages: str = EVALUATE) -> Iterator[Prediction]:
    """Yield the predictions of one split.

    Raises:
        InputError: `path` is missing or no such file; tells to run `stages`, which make it.
    """
    if not path.exists():
        raise InputError(f"{path}: not found; run `dvc repro {stages}`")
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                for row in batch.filter(pc.equal(batch["split"], split)).to_pylist():
                    yield _prediction(row)
    except pa.ArrowInvalid:
        raise InputError(f"{path}: not a predictions file; run `dvc repro -f {stages}`") from None


def _row(prediction: Prediction) -> dict[str, Any]:
    return {
        **vars(prediction),
        "scores": prediction.scores.tolist(),
        "map_classes": prediction.map_classes.tolist(),
        "maps": [_pack(m) for m in prediction.maps],
        "further_maps": [[_pack(m) for m in maps] for maps in prediction.further_maps],
        "proposal_map": None if prediction.proposal_map is None else _pack(prediction.proposal_map),
        "guidance": {name: _pack(m) for name, m in sorted(prediction.guidance.items())},
    }


def _pack(values: Map) -> dict[str, Any]:
    height, width = values.shape
    content = np.ascontiguousarray(values, np.dtype("<f4")).tobytes()
    return {"height": height, "width": width, "values": content}


def _unpack(packed: dict[str, Any]) -> Map:
    shape = packed["height"], packed["width"]
    return np.frombuffer(packed["values"], np.dtype("<f4")).reshape(shape)


def _stack(packed: list[dict[str, Any]]) -> Map:
    return np.stack([_unpack(m) for m in packed]) if packed else _NO_MAPS


def _prediction(row: dict[str, Any]) -> Prediction:
    return Prediction(
        id=row["id"],
        split=row["split"],
        scores=np.array(row["scores"], np.float32),
        map_classes=np.array(row["map_classes"], np.int64),
        maps=_stack(row["maps"]),
        proposal_map=None if row["proposal_map"] is None else _unpack(row["proposal_map"]),
        guidance={name: _unpack(m) for name, m in row["guidance"]},
        further_maps=tuple(map(_stack, row["further_maps"])),
    )

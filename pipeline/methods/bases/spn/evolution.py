"""How the maps of SPN evolve over a training (SPN Fig. 3 and 6b); no training looks at it."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.distributed import is_main
from pipeline.files import atomic_path
from pipeline.models.interface import Localizer
from pipeline.packed.pictures import Window, inside_boxes, to_tensor, warp
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params

FOLDER = "evolution"
"""Name of the folder of kept maps in that of the model."""

SHOWN = 3
"""Pictures whose maps are kept: the first of val that have a label."""

JUDGED = 48
"""Pictures that Object Energy is the mean over: the first of val that have a box. A fixed number,
so that watching costs the same whatever the size of val."""


class Epoch(NamedTuple):
    """Maps after an epoch.

    Attributes:
        epoch: from 1.
        ids: of the pictures.
        proposal_maps: (n, h, w), each with sum 1.
        response_maps: (n, h, w) of each picture's first label, unbounded.
    """

    epoch: int
    ids: tuple[str, ...]
    proposal_maps: NDArray[np.float32]
    response_maps: NDArray[np.float32]


@torch.inference_mode()
def watch(
    objective: nn.Module, split: PackedSplit, folder: Path, params: Params, epoch: int
) -> dict[str, float]:
    """Keep the maps of some pictures in `folder`; return the Object Energy of M, percent.

    It is `object_energy` of SPN Sec. 4.1, taken at the network's input; no figure where no picture
    has boxes.
    """
    network = cast(Localizer, objective.get_submodule("network"))
    device = next(objective.parameters()).device

    def seen(records: Sequence[Record]) -> Tensor:
        size = params.input.size
        images = [to_tensor(warp(record.image, size)) for record in records]
        return torch.stack(images).to(device)

    shown = list(islice((record for record in split if record.labels), SHOWN))
    if shown and is_main():
        maps = network.localize(seen(shown))
        assert maps.proposal_maps is not None
        labels = torch.tensor([record.labels[0] for record in shown], device=device)
        responses = maps.response_maps[torch.arange(len(shown), device=device), labels]
        _write(folder / FOLDER, epoch + 1, shown, maps.proposal_maps, responses)
    boxed = list(islice((record for record in split if len(record.boxes_xyxy)), JUDGED))
    batch, energies = params.spn.schedule(split.task).batch_size, list[float]()
    for start in range(0, len(boxed), batch):
        records = boxed[start : start + batch]
        proposals = network.localize(seen(records)).proposal_maps
        assert proposals is not None
        energies += _energies(proposals.cpu(), records, params)
    return {"object_energy": float(np.mean(energies))} if energies else {}


def read_evolution(folder: Path) -> list[Epoch]:
    """Return what `watch` has kept in the folder of a model, in order; nothing if it kept none."""
    return [_read(path) for path in sorted((folder / FOLDER).glob("*.safetensors"))]


def _energies(proposals: Tensor, records: Sequence[Record], params: Params) -> Iterator[float]:
    """Yield the share, percent, of each M (B, h, w) that lies in boxes of any class."""
    size, aligned = params.input.size, params.input.align_corners
    square = (size, size)
    enlarged = F.interpolate(proposals[:, None], square, mode="bilinear", align_corners=aligned)
    for energy, record in zip(enlarged[:, 0].double(), records, strict=True):
        inside = inside_boxes(record, Window(), size)
        yield float(100 * energy[inside].sum() / energy.sum())


def _write(
    folder: Path, epoch: int, records: Sequence[Record], proposals: Tensor, responses: Tensor
) -> None:
    maps = {"proposal_maps": proposals, "response_maps": responses}
    content = {name: own.float().cpu().contiguous() for name, own in maps.items()}
    with atomic_path(folder / f"{epoch:04d}.safetensors") as temporary:
        ids = json.dumps([record.id for record in records])
        save_file(content, temporary, metadata={"ids": ids})


def _read(path: Path) -> Epoch:
    with safe_open(path, framework="numpy") as content:
        ids = tuple(json.loads(content.metadata()["ids"]))
        maps = (content.get_tensor(name) for name in ("proposal_maps", "response_maps"))
        return Epoch(int(path.stem), ids, *maps)

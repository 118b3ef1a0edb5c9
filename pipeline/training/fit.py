"""From a network and a packed split to trained weights and their history on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from accelerate import PartialState
from accelerate.utils import set_seed
from torch import nn

from pipeline.files import atomic_path
from pipeline.fingerprint import fingerprint
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from pipeline.packed.pictures import Annotate
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, Section, TrainParams
from pipeline.training.batches import ClassTargets
from pipeline.training.checkpoints import Checkpoints, History
from pipeline.training.loop import train


class Trained(NamedTuple):
    """A trained objective, its history, and the checkpoints to remove once the result is safe."""

    module: nn.Module
    history: History
    checkpoints: Checkpoints


def fit(
    objective: Callable[[Backbone, int], nn.Module],
    params: Params,
    own: Section | tuple[Section, ...],
    schedule: TrainParams,
    *,
    split: Path,
    backbone: Path,
    weights: Path,
    history: Path,
    scratch: Path,
    targets: Callable[[PackedSplit], Annotate] = ClassTargets,
    reads: Sequence[Path] = (),
) -> None:
    """Train a network from the backbone's first weights; write its weights and its history (CSV).

    An interrupted call, repeated, goes on after the last epoch that it completed.

    Args:
        objective: (backbone, number of classes) -> the loss module of `train`; called after
            seeding, so that twins start with the same weights.
        own: the section or sections of params that decide the network and its objective.
        split, backbone: the folder of packed images and the backbone's first weights to read.
        weights, history: the files to write.
        scratch: folder for checkpoints.
        targets: gives what the objective learns from, for each record of the split.
        reads: the files that `targets` reads besides.

    Raises:
        InputError: an input is missing, or the loss is not finite.
    """
    images = PackedSplit(split)
    module, epochs, checkpoints = resume(
        lambda: objective(Backbone(params.backbone, backbone), len(images.classes)),
        images,
        params,
        (params.backbone, *(own if isinstance(own, tuple) else (own,))),
        schedule,
        scratch / weights.stem,
        targets=targets,
        reads=[backbone, *reads],
    )
    if PartialState().is_main_process:
        save_weights(module.get_submodule("network"), weights)
        with atomic_path(history) as temporary:
            pd.DataFrame(epochs).to_csv(temporary, index=False, float_format="%.6g")
        checkpoints.remove()


def resume(
    objective: Callable[[], nn.Module],
    images: PackedSplit,
    params: Params,
    own: Sequence[Section],
    schedule: TrainParams,
    scratch: Path,
    *,
    targets: Callable[[PackedSplit], Annotate] = ClassTargets,
    reads: Sequence[Path] = (),
) -> Trained:
    """Train an objective, from where an equal call was cut off if one was.

    Args:
        objective: () -> the loss module of `train`; called after seeding.
        own: the sections of params that decide the module.
        scratch: beginning of the path of its checkpoints.
        targets: as in `train`.
        reads: the files that `objective` and `targets` read.
    """
    set_seed(params.seed)
    module = objective()
    settings = [section.model_dump() for section in (params.input, *own, schedule)]
    key = fingerprint([params.seed, *settings, images.digest], reads)
    checkpoints = Checkpoints(scratch.with_name(f"{scratch.name}-{key}"))
    history = train(module, images, params.input, schedule, params.seed, checkpoints, targets)
    return Trained(module, history, checkpoints)

"""From a network and a packed split to trained weights and their history on disk."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from accelerate import PartialState
from accelerate.utils import set_seed
from torch import nn

from pipeline.datasets.store import PackedSplit
from pipeline.files import atomic_path
from pipeline.fingerprint import fingerprint
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from pipeline.params import Params, Section, TrainParams
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import train


def fit(
    objective: Callable[[Backbone, int], nn.Module],
    params: Params,
    own: Section,
    schedule: TrainParams,
    *,
    split: Path,
    backbone: Path,
    weights: Path,
    history: Path,
    scratch: Path,
) -> None:
    """Train a network from the backbone's first weights; write its weights and its history (CSV).

    An interrupted call, repeated, goes on after the last epoch that it completed.

    Args:
        objective: (backbone, number of classes) -> the loss module of `train`; called after
            seeding, so that twins start with the same weights.
        own: the parameters of the network and its objective.
        split, backbone: the folder of packed images and the backbone's first weights to read.
        weights, history: the files to write.
        scratch: folder for checkpoints.

    Raises:
        InputError: an input is missing, or the loss is not finite.
    """
    images = PackedSplit(split)
    set_seed(params.seed)
    module = objective(Backbone(params.backbone, backbone), len(images.classes))
    settings = [s.model_dump() for s in (params.input, params.backbone, own, schedule)]
    key = fingerprint([params.seed, *settings, images.digest], [backbone])
    checkpoints = Checkpoints(scratch / f"{weights.stem}-{key}")
    epochs = train(module, images, params.input, schedule, params.seed, checkpoints)
    if PartialState().is_main_process:
        save_weights(module.get_submodule("network"), weights)
        with atomic_path(history) as temporary:
            pd.DataFrame(epochs).to_csv(temporary, index=False, float_format="%.6g")
        checkpoints.remove()

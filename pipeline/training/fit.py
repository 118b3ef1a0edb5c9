"""From a network and a packed split to trained weights and their history on disk."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from accelerate.utils import set_seed
from torch import nn

from pipeline.distributed import is_main
from pipeline.fingerprint import fingerprint
from pipeline.folders import atomic_folder
from pipeline.locks import turn
from pipeline.models.backbones import Backbone
from pipeline.models.device import repeat_exactly
from pipeline.models.folder import describe
from pipeline.models.interface import WEIGHTS, Method
from pipeline.models.weights import require, save_weights
from pipeline.packed.pictures import Annotate, ClassTargets
from pipeline.packed.record import SPLITS, Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, Section, TrainParams
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import Watch, train, unwatched
from pipeline.training.progress import History


def fit(
    method: Method,
    params: Params,
    track: Task,
    *,
    data: Path,
    backbone: Path,
    folder: Path,
    scratch: Path,
) -> None:
    """Train a method from the backbone's first weights; write the folder of the trained model.

    It holds the weights, what they are (`pipeline.models.folder`), `history.csv` and what the
    method's `prepare` and `watch` write. An interrupted call, repeated, goes on after its last
    checkpoint.

    Args:
        data, backbone: the folder of the track's packed splits and the first weights, to read.
        folder: what to write; its name is the model's.
        scratch: folder for checkpoints.

    Raises:
        InputError: an input is missing, or the loss is not finite.
    """
    splits = {name: PackedSplit(data / name) for name in SPLITS}
    own = (params.backbone, *(getattr(params, name) for name in method.sections))
    images, schedule = splits["train"], method.schedule(params, track)
    require(backbone, "pretrain")
    digests, name = [split.digest for split in splits.values()], scratch / folder.name
    checkpoints = unfinished(digests, params, own, schedule, name, [backbone])
    prepared = _prepared(method, splits, params, checkpoints)

    def objective() -> nn.Module:
        network = method.network(Backbone(params.backbone, backbone), len(images.classes), params)
        return method.objective(network, params)

    targets = method.targets(images, prepared, params)

    def watch(module: nn.Module, epoch: int) -> dict[str, float]:
        return method.watch(module, splits["val"], prepared, params, epoch)

    module, epochs = resume(objective, images, params, schedule, checkpoints, targets, watch)
    if is_main():
        with atomic_folder(folder) as new:
            shutil.copytree(prepared, new, dirs_exist_ok=True)
            save_weights(module.get_submodule("network"), new / WEIGHTS)
            describe(new, folder.name, method, images, params)
            table = pd.DataFrame(epochs)
            table.to_csv(new / "history.csv", index=False, float_format="%.6g")
        checkpoints.remove()


def _prepared(
    method: Method, splits: Mapping[str, PackedSplit], params: Params, checkpoints: Checkpoints
) -> Path:
    """Return the folder of what the method needs besides; one process makes it, others wait.

    They wait for a lock, not for each other as a process group does: that gives up after minutes.
    """
    prepared = checkpoints.folder / "prepared"
    with turn(checkpoints.folder / "prepared.lock"):
        if not prepared.exists():
            with atomic_folder(prepared) as new:
                method.prepare(new, splits, params)
    return prepared


def unfinished(
    digests: Sequence[str],
    params: Params,
    own: Sequence[Section],
    schedule: TrainParams,
    scratch: Path,
    reads: Sequence[Path] = (),
) -> Checkpoints:
    """Return the checkpoints of a training, which only an equal one finds again.

    Args:
        digests: those of the splits that decide the result.
        own: the sections of params that decide the module.
        scratch: beginning of the path of the checkpoints.
        reads: the files that decide the module besides.
    """
    settings = [section.model_dump() for section in (params.input, *own, schedule)]
    key = fingerprint([params.seed, params.deterministic, *settings, *digests], reads)
    return Checkpoints(scratch.with_name(f"{scratch.name}-{key}"))


def resume(
    objective: Callable[[], nn.Module],
    images: PackedSplit,
    params: Params,
    schedule: TrainParams,
    checkpoints: Checkpoints,
    targets: Annotate | None = None,
    watch: Watch = unwatched,
) -> tuple[nn.Module, History]:
    """Train an objective, from where an equal call was cut off if one was; return it, trained.

    The caller removes the checkpoints once the result is safe.

    Args:
        objective: () -> the loss module of `train`; called after seeding, so that twins start with
            the same weights.
        targets: what the objective learns from; by default the classes.
        watch: gives further figures for the history after each epoch.
    """
    repeat_exactly(params.deterministic)
    set_seed(params.seed)
    module = objective()
    learnt = targets or ClassTargets(images)
    history = train(module, images, params.input, schedule, params.seed, checkpoints, learnt, watch)
    return module, history

"""Stage `train_cam`: the twins of SPN without Soft Proposal, and of SPG without guidance."""

from collections.abc import Callable

from torch import nn

from pipeline.errors import InputError
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.spg.network import SpgPlain
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.paths import training_files


def train_gap(params: Params, track: str) -> None:
    """Train SPN's twin, with global average pooling, on `track`: cam_<track>."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return Classification(ClassActivationNetwork(backbone, classes, params.spn))

    files = training_files(f"cam_{track}", track)
    fit(objective, params, params.spn, params.spn.schedule(track), **files)


def train_spg_plain(params: Params) -> None:
    """Train SPG's twin, the classifier SPG-A alone: spg_plain."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return Classification(SpgPlain(backbone, classes, params.spg))

    files = training_files("spg_plain", "single")
    fit(objective, params, params.spg, params.spg.train, **files)


TWINS: dict[str, Callable[[Params], None]] = {
    "cam_multi": lambda params: train_gap(params, "multi"),
    "cam_single": lambda params: train_gap(params, "single"),
    "spg_plain": train_spg_plain,
}


def train_cam(params: Params, model: str) -> None:
    """Write weights and history of `model`, on the budget of the network it is compared with."""
    if model not in TWINS:
        raise InputError(f"model {model!r} is none of {', '.join(TWINS)}")
    TWINS[model](params)


if __name__ == "__main__":
    run(train_cam)

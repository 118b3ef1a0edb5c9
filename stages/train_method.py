"""Stage `train_method`: the trained methods that the papers compare with, if they are on."""

from collections.abc import Callable

from torch import nn

from pipeline.errors import InputError
from pipeline.methods.acol import ComplementaryNetwork
from pipeline.methods.acol_objective import ComplementaryObjective
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.has import HideAndSeek
from pipeline.methods.oquab import MaxPoolingNetwork
from pipeline.methods.rpn import RegionProposer
from pipeline.methods.rpn_objective import RegionProposal, objects_of
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.off import switched_off, train_nothing
from stages.paths import training_files


def train_has(params: Params) -> None:
    """Train SPN's twin on images with hidden patches: has."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return HideAndSeek(ClassActivationNetwork(backbone, classes, params.spn), params.has)

    files = training_files("has", "single")
    fit(objective, params, (params.spn, params.has), params.spn.schedule("single"), **files)


def train_acol(params: Params) -> None:
    """Train two complementary classifiers, each like SPG's twin: acol."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        network = ComplementaryNetwork(backbone, classes, params.spg, params.acol)
        return ComplementaryObjective(network)

    files = training_files("acol", "single")
    fit(objective, params, (params.spg, params.acol), params.spg.train, **files)


def train_oquab(params: Params) -> None:
    """Train SPN's twin with max pooling: oquab."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return Classification(MaxPoolingNetwork(backbone, classes, params.spn))

    files = training_files("oquab", "multi")
    fit(objective, params, params.spn, params.spn.schedule("multi"), **files)


def train_rpn(params: Params) -> None:
    """Train the region proposal network on the boxes of the multi-label track: rpn."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return RegionProposal(RegionProposer(backbone, params.input.size))

    files, own = training_files("rpn", "multi"), params.rpn
    fit(objective, params, own, own.train, **files, targets=lambda split: objects_of)


METHODS: dict[str, Callable[[Params], None]] = {
    "has": train_has,
    "acol": train_acol,
    "oquab": train_oquab,
    "rpn": train_rpn,
}


def train_method(params: Params, method: str) -> None:
    """Write weights and history of `method`, empty ones while `methods.<method>` is off.

    Raises:
        InputError: no such method, a missing input, or a loss that is not finite.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is none of {', '.join(METHODS)}")
    if switched_off(params, method):
        train_nothing(method)
    else:
        METHODS[method](params)


if __name__ == "__main__":
    run(train_method)

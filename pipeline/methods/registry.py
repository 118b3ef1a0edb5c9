"""The networks that are trained and evaluated, by name: a new one is a file and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pipeline.errors import InputError
from pipeline.methods.acol import ComplementaryNetwork
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.methods.oquab import MaxPoolingNetwork
from pipeline.methods.spg.network import SelfProducedGuidance, SpgPlain
from pipeline.methods.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.weights import load_weights
from pipeline.packed.record import Task
from pipeline.params import Params


@dataclass(frozen=True)
class Method:
    """A network on a track: the DVC stage that trains it, and how it is built.

    Attributes:
        build: (backbone, number of classes, parameters) -> network.
    """

    track: Task
    stage: str
    build: Callable[[Backbone, int, Params], nn.Module]


METHODS: dict[str, Method] = {
    "cam_multi": Method(
        "multi", "train_cam@multi", lambda b, n, p: ClassActivationNetwork(b, n, p.spn)
    ),
    "cam_single": Method(
        "single", "train_cam@single", lambda b, n, p: ClassActivationNetwork(b, n, p.spn)
    ),
    "spn_multi": Method(
        "multi", "train_spn@multi", lambda b, n, p: SoftProposalNetwork(b, n, p.spn)
    ),
    "spn_single": Method(
        "single", "train_spn@single", lambda b, n, p: SoftProposalNetwork(b, n, p.spn)
    ),
    "spg_plain": Method("single", "train_spg_plain", lambda b, n, p: SpgPlain(b, n, p.spg)),
    "spg": Method("single", "train_spg", lambda b, n, p: SelfProducedGuidance(b, n, p.spg)),
    "has": Method(
        "single", "train_method@has", lambda b, n, p: ClassActivationNetwork(b, n, p.spn)
    ),
    "acol": Method(
        "single", "train_method@acol", lambda b, n, p: ComplementaryNetwork(b, n, p.spg, p.acol)
    ),
    "oquab": Method("multi", "train_method@oquab", lambda b, n, p: MaxPoolingNetwork(b, n, p.spn)),
}


def find(model: str) -> Method:
    """Return the method named `model`; InputError lists the names there are."""
    if model not in METHODS:
        raise InputError(f"model {model!r} is none of {', '.join(METHODS)}")
    return METHODS[model]


def trained(model: str, classes: int, params: Params, weights: Path) -> nn.Module:
    """Return the network `model` for `classes` with its trained weights.

    Raises:
        InputError: the weights are missing, or of another network.
    """
    method = find(model)
    network = method.build(Backbone(params.backbone), classes, params)
    load_weights(network, weights, method.stage)
    return network

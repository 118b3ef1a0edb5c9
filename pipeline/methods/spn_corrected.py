"""SPN with a border-corrected and sharpened proposal map: ours, in no publication."""

from pipeline.methods.bases.spn.network import KEYS, SoftProposalNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.interface import Method
from pipeline.params import Params


def corrected(backbone: Backbone, classes: int, params: Params) -> SoftProposalNetwork:
    """Return SPN's network; `spn_corrected` decides what is made of its map, `spn` all else."""
    spn = params.spn.model_copy(update=params.spn_corrected.model_dump())
    return SoftProposalNetwork(backbone, classes, spn)


METHOD = Method(
    network=corrected,
    schedule=lambda params, track: params.spn.schedule(track),
    sections=("spn", "spn_corrected"),
    keys=(*KEYS, "spn_corrected"),
)

"""Stage `train_spn`: the Soft Proposal Network on one track."""

from torch import nn

from pipeline.methods.spn.network import SoftProposalNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.paths import training_files


def train_spn(params: Params, track: str) -> None:
    """Write data/models/spn_<track>.safetensors and its history; `track` is multi or single."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return Classification(SoftProposalNetwork(backbone, classes, params.spn))

    files = training_files(f"spn_{track}", track)
    fit(objective, params, params.spn, params.spn.schedule(track), **files)


if __name__ == "__main__":
    run(train_spn)

"""Stage `train_spg`: Self-produced Guidance on the single-label track."""

from torch import nn

from pipeline.methods.spg.network import SelfProducedGuidance
from pipeline.methods.spg.objective import SelfProducedGuidanceObjective
from pipeline.models.backbones import Backbone
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.paths import training_files


def train_spg(params: Params) -> None:
    """Write data/models/spg.safetensors and its history."""

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        network = SelfProducedGuidance(backbone, classes, params.spg)
        return SelfProducedGuidanceObjective(network, params.spg, params.input)

    fit(objective, params, params.spg, params.spg.train, **training_files("spg", "single"))


if __name__ == "__main__":
    run(train_spg)

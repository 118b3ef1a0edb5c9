"""Stage `train_wsddn`: weakly supervised detection on EdgeBoxes, if it is on."""

from torch import nn

from pipeline.methods.bases.proposals import StoredProposals
from pipeline.methods.wsddn import WeaklySupervisedDetector
from pipeline.methods.wsddn_objective import RegionAnnotation, RegionClassification
from pipeline.models.backbones import Backbone
from pipeline.packed.pictures import Annotate
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.off import switched_off, train_nothing
from stages.paths import proposals_file, training_files

MODEL, METHOD = "wsddn", "edge_boxes"


def train_wsddn(params: Params) -> None:
    """Write data/models/wsddn.safetensors and its history, empty ones while it is off.

    Raises:
        InputError: a missing input, proposals of other images, or a loss that is not finite.
    """
    if switched_off(params, MODEL):
        train_nothing(MODEL)
        return

    def objective(backbone: Backbone, classes: int) -> nn.Module:
        return RegionClassification(WeaklySupervisedDetector(backbone, classes, params.wsddn))

    def targets(split: PackedSplit) -> Annotate:
        return RegionAnnotation(split, proposals, params.wsddn.boxes)

    path, own = proposals_file(METHOD), params.wsddn
    proposals, files = StoredProposals(path, "train"), training_files(MODEL, "multi")
    fit(objective, params, own, own.train, **files, targets=targets, reads=[path])


if __name__ == "__main__":
    run(train_wsddn)

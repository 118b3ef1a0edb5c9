"""Stage `classify`: class probabilities of other classifiers, to rank SPG's boxes by."""

from pathlib import Path

from torch import nn

from pipeline.evaluation.localization import classification
from pipeline.evaluation.localization.predictions import write_predictions
from pipeline.folders import atomic_folder
from pipeline.models.classifiers import build, check
from pipeline.models.losses import Classification
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import resume
from stages import run
from stages.paths import SCRATCH, split_folder

CLASSIFIERS = Path("data/predictions/classifiers")


def classify(params: Params) -> None:
    """Fill data/predictions/classifiers with <name>.arrow for each of `ranking.classifiers`.

    They hold the class probabilities of the test images of the single-label track.

    Raises:
        InputError: a missing input or, before any training, a classifier that cannot be had.
    """
    test = PackedSplit(split_folder("single", "test"))
    check(params.ranking.classifiers, len(test.classes), params)
    finished = []
    with atomic_folder(CLASSIFIERS) as folder:
        for name in params.ranking.classifiers:
            network, checkpoints = trained(name, len(test.classes), params)
            found = classification.classify(network, test, params.input, params.evaluate)
            write_predictions(folder / f"{name}.arrow", found)
            finished += checkpoints
    for each in finished:
        each.remove()


def trained(name: str, classes: int, params: Params) -> tuple[nn.Module, list[Checkpoints]]:
    """Return a classifier, trained unless `ranking.fine_tune` is off, and its checkpoints."""
    if not params.ranking.fine_tune:
        return build(name, classes, params), []
    module, _, checkpoints = resume(
        lambda: Classification(build(name, classes, params)),
        PackedSplit(split_folder("single", "train")),
        params,
        (params.pretrain,),
        params.ranking.train,
        SCRATCH / f"classifier-{name}",
        reads=[Path(params.pretrain.file)] if params.pretrain.source == "file" else [],
    )
    return module.get_submodule("network"), [checkpoints]


if __name__ == "__main__":
    run(classify)

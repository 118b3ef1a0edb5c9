"""Stage `classify`: class probabilities of another classifier, to rank SPG's boxes by."""

from functools import partial
from pathlib import Path

from torch import nn

from pipeline.distributed import is_main
from pipeline.errors import unlisted
from pipeline.evaluation.localization import classification
from pipeline.evaluation.sharing import PREDICTIONS, write_answers
from pipeline.models.classifiers import build, check
from pipeline.models.losses import Classification
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import resume, unfinished
from stages import run
from stages.paths import SCRATCH, classifier_file, split_folder


def classify(params: Params, classifier: str) -> None:
    """Write data/predictions/classifiers/<classifier>.arrow.

    It holds the class probabilities of the test images of the single-label track.

    Raises:
        InputError: a classifier that params.yaml does not list, a missing input or, before any
            training, one of `ranking.classifiers` that cannot be had.
    """
    if classifier not in params.ranking.classifiers:
        raise unlisted(classifier, "ranking.classifiers")
    test = PackedSplit(split_folder("single", "test"))
    check(params.ranking.classifiers, len(test.classes), params)
    network, checkpoints = trained(classifier, len(test.classes), params)
    protocol = params.evaluate
    look = partial(classification.classify, network, params=params.input, protocol=protocol)
    file = classifier_file(classifier)
    write_answers(file, PREDICTIONS, [test], look, protocol.batch_size, SCRATCH)
    if checkpoints and is_main():
        checkpoints.remove()


def trained(name: str, classes: int, params: Params) -> tuple[nn.Module, Checkpoints | None]:
    """Return a classifier, trained unless `ranking.fine_tune` is off, and its checkpoints."""
    if not params.ranking.fine_tune:
        return build(name, classes, params), None
    images, schedule = PackedSplit(split_folder("single", "train")), params.ranking.train
    reads = [Path(params.pretrain.file)] if params.pretrain.source == "file" else []
    own, scratch = (params.pretrain,), SCRATCH / f"classifier-{name}"
    checkpoints = unfinished([images.digest], params, own, schedule, scratch, reads)
    module, _ = resume(
        lambda: Classification(build(name, classes, params)), images, params, schedule, checkpoints
    )
    return module.get_submodule("network"), checkpoints


if __name__ == "__main__":
    run(classify)

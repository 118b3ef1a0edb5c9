"""Stage `evaluate_wsddn`: CorLoc and classification of WSDDN, if it is on."""

from collections.abc import Iterator
from itertools import chain

from pipeline.evaluation.protocol.region_scores import region_scores
from pipeline.files import write_json
from pipeline.methods import wsddn
from pipeline.methods.bases.proposals import StoredProposals
from pipeline.methods.detections import Detection, detect
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages import run
from stages.off import switched_off
from stages.paths import proposals_file, scores_file, split_folder, weights_file
from stages.train_wsddn import METHOD, MODEL


def evaluate_wsddn(params: Params) -> None:
    """Write data/scores/wsddn.json, {} while the method is off.

    Raises:
        InputError: a missing or foreign input, an empty split, values that are not finite.
    """
    if switched_off(params, MODEL):
        write_json(scores_file(MODEL), {})
        return
    test = PackedSplit(split_folder("multi", "test"))
    network = wsddn.trained(params, len(test.classes), weights_file(MODEL))

    def pairs(name: str) -> Iterator[tuple[Detection, Record]]:
        split = PackedSplit(split_folder("multi", name))
        proposals = StoredProposals(proposals_file(METHOD), name)
        return zip(detect(network, split, proposals, params), split, strict=True)

    described = {
        "model": MODEL,
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    training = chain(pairs("train"), pairs("val"))
    scores = region_scores(training, pairs("test"), test.classes, params)
    write_json(scores_file(MODEL), described | scores)


if __name__ == "__main__":
    run(evaluate_wsddn)

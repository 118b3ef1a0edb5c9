"""Stage `evaluate_proposals`: Object Energy of one method's proposal boxes, if it is on."""

from collections.abc import Callable

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.protocol.energy_map import object_energies
from pipeline.evaluation.protocol.estimates import estimate
from pipeline.files import write_json
from pipeline.methods.bases.proposals import StoredProposals
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages import run
from stages.off import switched_off
from stages.paths import proposals_file, scores_file, split_folder

BACKBONES: dict[str, Callable[[Params], str]] = {
    "selective_search": lambda params: "none",
    "edge_boxes": lambda params: "none",
    "rpn": lambda params: params.backbone.name,
}
"""What each method's proposals rest on."""


def evaluate_proposals(params: Params, method: str) -> None:
    """Write data/scores/<method>.json, {} while the method is off.

    Object Energy is the mean over the test images with objects.

    Raises:
        InputError: no such method, a missing or foreign input, no test image with an object.
    """
    if method not in BACKBONES:
        raise InputError(f"method {method!r} is none of {', '.join(BACKBONES)}")
    if switched_off(params, method):
        write_json(scores_file(method), {})
        return
    test = PackedSplit(split_folder("multi", "test"))
    energies = object_energies(StoredProposals(proposals_file(method), "test"), test)
    if np.isnan(energies).all():
        raise InputError(
            f"{test.name}: none of {len(test)} test image(s) has a box, which Object Energy is "
            "judged on: check the lists and annotations of the data set"
        )
    described = {
        "model": method,
        "backbone": BACKBONES[method](params),
        "seed": params.seed,
        "dataset": test.name,
        "n": {"test": len(test)},
    }
    scores = estimate(
        lambda weights: {"object_energy": mean_of_defined(energies, weights)}, len(test), params
    )
    write_json(scores_file(method), described | scores)


if __name__ == "__main__":
    run(evaluate_proposals)

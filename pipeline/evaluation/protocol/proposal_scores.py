"""Scores of proposal boxes of any class: SPN Table 1."""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.protocol.energy_map import object_energies
from pipeline.evaluation.protocol.estimates import Figures, boxed_count, estimate
from pipeline.evaluation.protocol.multi_label import without_boxes
from pipeline.packed.proposals import StoredProposals
from pipeline.packed.store import PackedSplit
from pipeline.params import Params


def proposal_scores(path: Path, test: PackedSplit, params: Params) -> Figures:
    """Return the Object Energy of stored proposals, the mean over test images with objects.

    Without any box there is no figure.

    Raises:
        InputError: foreign or damaged proposals, or no test image with a label or a box.
    """
    energies = object_energies(StoredProposals(path, "test"), test)
    boxed = len(test) - sum(bool(without_boxes(record)) for record in test)
    if boxed == len(test) and np.isnan(energies).all():
        raise InputError(
            f"{test.name}: none of {len(test)} test image(s) has a box or a label; check the lists "
            "and annotations of the data set"
        )
    mean = partial(mean_of_defined, energies)
    figures = estimate(lambda weights: {"object_energy": mean(weights)}, len(test), params)
    return {"n": {"test": len(test)} | boxed_count("test", len(test), boxed)} | figures

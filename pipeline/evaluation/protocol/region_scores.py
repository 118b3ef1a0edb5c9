"""Scores of a detector that classifies proposals: SPN Table 4."""

from collections.abc import Iterable

from pipeline.evaluation.protocol.estimates import Figures, merged
from pipeline.evaluation.protocol.multi_label import classification_figures, cor_loc_figures
from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Record
from pipeline.params import Params

Pairs = Iterable[tuple[Proposals, Record]]
"""A box (C, 4) and a score (C,) of each class, beside the record of the image; read once."""


def region_scores(
    training: Pairs, test: Pairs, classes: tuple[str, ...], params: Params
) -> Figures:
    """Return CorLoc of `training` and the classification mAP of `test`, percent with intervals.

    The one box of a class is its top-scoring proposal (SPN Sec. 4.3).

    Args:
        training: the train and validation splits, on which CorLoc is measured.

    Returns:
        The figures of `cor_loc_figures` and `classification_figures`; `n` has those of both.

    Raises:
        InputError: there are no images to score.
    """
    boxes = ((record, {"cor_loc": dict(enumerate(found.boxes_xyxy))}) for found, record in training)
    scores = ((found.scores, record) for found, record in test)
    parts = cor_loc_figures(boxes, ("cor_loc",), classes), classification_figures(scores, classes)
    return merged(parts, params)

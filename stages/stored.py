"""What stages read of the predictions that others have written."""

from collections.abc import Iterable
from functools import partial

from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.evaluation.protocol.pairs import StoredPairs
from pipeline.packed.store import PackedSplit
from stages.paths import predictions_file, split_folder


def stored_pairs(model: str, track: str, splits: Iterable[str]) -> dict[str, StoredPairs]:
    """Return the predictions of a model beside the records, by the name of the split.

    Predictions are looked for when they are read, and may be written until then.
    """
    return {
        name: StoredPairs(
            partial(read_predictions, predictions_file(model), name),
            PackedSplit(split_folder(track, name)),
        )
        for name in splits
    }

"""The predictions of a split beside its records, in flat memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import (
    EVALUATE,
    Prediction,
    read_predictions,
)
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit

Pairs = Iterable[tuple[Prediction, Record]]
"""Predictions, stored or made on the way, each beside the record of its image; read once."""


@dataclass(frozen=True)
class StoredPairs:
    """Pairs that are read from disk, a few at a time.

    Attributes:
        predictions: gives the predictions of the split, one per record, in its order.

    Raises:
        InputError: in an iteration, when the predictions are not those of the split's images.
    """

    predictions: Callable[[], Iterable[Prediction]]
    split: PackedSplit

    def __iter__(self) -> Iterator[tuple[Prediction, Record]]:
        found = iter(self.predictions())
        for record in self.split:
            prediction = next(found, None)
            if prediction is None or prediction.id != record.id:
                raise self._foreign(record.id, prediction)
            yield prediction, record
        if (left := next(found, None)) is not None:
            raise self._foreign("none", left)

    def _foreign(self, id: str, prediction: Prediction | None) -> InputError:
        got = prediction.id if prediction else "none"
        return InputError(
            f"predictions of {self.split.name} ({self.split.split}): image {id} expected, got "
            f"{got}; run `dvc repro -f {EVALUATE}`"
        )


def stored_pairs(path: Path, split: PackedSplit) -> StoredPairs:
    """Return the predictions in `path` beside the records of `split`; they are read when asked for.

    Predictions may be written until then.
    """
    return StoredPairs(partial(read_predictions, path, split.split), split)

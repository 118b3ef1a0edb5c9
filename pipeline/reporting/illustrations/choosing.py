"""Which pictures are shown: by rules that know no result."""

from collections.abc import Callable, Collection, Iterable

from pipeline.evaluation.metrics.pointing import difficult_pairs
from pipeline.packed.record import Record

MOST = 8
"""Pictures side by side at most."""

RULE = f"The first test picture of each class, of the first {MOST} classes; none twice."

Classes = Callable[[Record], Collection[int]]
"""The classes of a picture that it may be shown for."""


def first_of_each_class(
    records: Iterable[Record], classes: int, most: int = MOST, shown: Classes = lambda r: r.labels
) -> dict[int, Record]:
    """Return the first record of each of the first `most` classes, by class, in their order.

    No record stands for two classes, and a class without any is left out.
    """
    waiting = set(range(min(classes, most)))
    found: dict[int, Record] = {}
    for record in records:
        if own := waiting.intersection(shown(record)):
            found[min(own)] = record
            waiting.remove(min(own))
        if not waiting:
            break
    return dict(sorted(found.items()))


def boxed_labels(record: Record) -> list[int]:
    """Return the labels that the record has a box of."""
    return [label for label in record.labels if label in record.box_labels]


def hard_labels(record: Record) -> list[int]:
    """Return the labels of SPN Table 2's difficult subset: small, and not alone."""
    hard = difficult_pairs(record.boxes_xyxy, record.box_labels, record.width, record.height)
    return [label for label in record.labels if label in hard]

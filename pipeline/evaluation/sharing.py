"""One file of what a network answers, asked by one process or by several."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.distributed import gathered, is_main, process_count, process_index, share
from pipeline.evaluation.localization.predictions import read_predictions, write_predictions
from pipeline.packed.proposals import StoredProposals, write_proposals
from pipeline.packed.store import PackedSplit


@dataclass(frozen=True)
class Form:
    """What a file of answers holds, an answer per image.

    Attributes:
        write: (file, answers) writes them; the same answers give the same bytes.
        read: (file, name of a split) -> the answers on its images, in their order.
    """

    write: Callable[[Path, Iterable[Any]], None]
    read: Callable[[Path, str], Iterable[Any]]


PREDICTIONS = Form(write_predictions, read_predictions)
PROPOSALS = Form(write_proposals, StoredProposals)


def write_answers(
    path: Path,
    form: Form,
    splits: Sequence[PackedSplit],
    answer: Callable[[PackedSplit], Iterable[Any]],
    batch_size: int,
    scratch: Path,
) -> None:
    """Write what `answer` gives for each image of `splits`, in order, to `path`.

    Of several processes each answers for its own whole batches, into a file in `scratch`; the main
    one joins the files, and it alone may read `path` when this returns. The bytes are those that
    one process writes, where a batch gives each the same.
    """
    if process_count() == 1:
        form.write(path, chain.from_iterable(map(answer, splits)))
        return
    own = (answer(split.part(share(len(split), batch_size))) for split in splits)
    part = scratch / f"answers-{path.stem}-{process_index()}.arrow"
    form.write(part, chain.from_iterable(own))
    parts = gathered(part)
    if is_main():
        found = (form.read(each, split.split) for split in splits for each in parts)
        form.write(path, chain.from_iterable(found))
        for each in parts:
            each.unlink()

"""Stage `propose`: boxes that may hold an object, by one method, if it is on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from pipeline.errors import InputError
from pipeline.methods import rpn
from pipeline.methods.bases.edge_boxes import edge_boxes
from pipeline.methods.bases.proposals import Proposals, write_proposals
from pipeline.methods.bases.search import search
from pipeline.methods.region_proposals import region_proposals
from pipeline.methods.selective_search import selective_search
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.params import MethodsParams, Params
from stages import run
from stages.paths import proposals_file, split_folder, weights_file


@dataclass(frozen=True)
class Proposer:
    """A method: which splits of the multi-label track it is wanted on, and how it proposes."""

    splits: Callable[[MethodsParams], tuple[str, ...]]
    propose: Callable[[PackedSplit, Params], Iterator[Proposals]]


def _test_if(on: bool) -> tuple[str, ...]:
    return ("test",) if on else ()


METHODS = {
    "selective_search": Proposer(
        lambda methods: _test_if(methods.selective_search),
        lambda split, params: search(split, selective_search),
    ),
    "edge_boxes": Proposer(
        # WSDDN learns from them.
        lambda methods: SPLITS if methods.wsddn else _test_if(methods.edge_boxes),
        lambda split, params: search(split, partial(edge_boxes, limit=params.edge_boxes.boxes)),
    ),
    "rpn": Proposer(
        lambda methods: _test_if(methods.rpn),
        lambda split, params: region_proposals(
            rpn.trained(params, weights_file("rpn")), split, params
        ),
    ),
}


def propose(params: Params, method: str) -> None:
    """Write data/proposals/<method>.arrow, of the test images; without a row if it is off.

    EdgeBoxes is run on all images if WSDDN is on.

    Raises:
        InputError: no such method, or a missing or foreign input.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is none of {', '.join(METHODS)}")
    proposer = METHODS[method]
    splits = [PackedSplit(split_folder("multi", s)) for s in proposer.splits(params.methods)]
    found = (proposer.propose(split, params) for split in splits)
    write_proposals(proposals_file(method), chain.from_iterable(found))


if __name__ == "__main__":
    run(propose)

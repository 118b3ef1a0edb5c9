"""EdgeBoxes as proposals of their own: SPN Table 1."""

from functools import partial

from pipeline.methods.bases import edge_boxes
from pipeline.methods.bases.search import Search
from pipeline.params import Params


def _with_params(params: Params) -> Search:
    return partial(edge_boxes.edge_boxes, limit=params.edge_boxes.boxes)


METHOD = _with_params

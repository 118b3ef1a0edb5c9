"""A report on four pictures of coloured boxes, of which SPN misses one, in known places."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.sources import SPG_SOURCES
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.reporting.illustrations.listing import Illustration, absent
from pipeline.reporting.page.curves import chart
from pipeline.reporting.page.data_card import data_card
from pipeline.reporting.page.galleries import multi_gallery, single_gallery
from pipeline.reporting.page.rendering import Report
from pipeline.reporting.tables import fill
from pipeline.reporting.twins import compare_twins
from tests.reporting.conftest import invented_differences

SCORES = json.loads(Path(__file__).parents[1].joinpath("scores.json").read_text())
MISSED = "016"
"""The picture of whose class SPN, and SPG's attention, look at a corner without it."""
GRID = (20, 24)
"""Cells of the maps: of 2 px, which the edges of all boxes but a few lie on."""


def predictions(split, model):
    """A model whose maps are 1 in the boxes of the class and 0 elsewhere."""
    for record in split:
        maps = np.zeros((len(split.classes), *GRID), np.float32)
        for box, label in zip(record.boxes_xyxy, record.box_labels, strict=True):
            x0, y0, x1, y1 = (int(edge) // 2 for edge in box)
            maps[label, y0:y1, x0:x1] = 1
        if record.id == MISSED and model in ("spn_multi", "spg"):
            maps[:] = 0
            maps[:, -2:, -2:] = 1
        proposal = maps.max(axis=0) + 0.1
        yield Prediction(
            id=record.id,
            split="test",
            scores=np.zeros(len(split.classes), np.float32),
            map_classes=np.arange(len(split.classes)),
            maps=maps,
            proposal_map=proposal / proposal.sum() if model.startswith("spn") else None,
            guidance=dict.fromkeys(("b1", "b2", "c"), maps.max(0)) if model == "spg" else {},
        )


def galleries(multi, single, params, threshold=0.5):
    """Both galleries; `threshold` is that of all boxes."""
    names = ("cam_single", "spn_single", "spg_plain", "spg")
    source = SPG_SOURCES["attention+b"].source
    boxes = None if threshold is None else ("SPG, boxes from its guidance", source, threshold)
    return (
        multi_gallery(multi, lambda model: predictions(multi, model), params),
        single_gallery(
            single,
            lambda model: predictions(single, model),
            dict.fromkeys(names, threshold),
            boxes,
            params,
        ),
    )


@pytest.fixture(scope="session")
def splits(packed_once):
    """Track -> split -> packed pictures."""
    return {
        track: {name: PackedSplit(packed_once / track / name) for name in SPLITS}
        for track in ("multi", "single")
    }


@pytest.fixture(scope="session")
def report(splits, params, tmp_path_factory):
    differences = invented_differences(SCORES)
    figure = tmp_path_factory.mktemp("figures") / "a.webp"
    Image.new("RGB", (900, 300), "gray").save(figure)
    return Report(
        tables=fill(SCORES),
        differences=differences,
        twins=compare_twins(SCORES, differences),
        galleries=galleries(splits["multi"]["test"], splits["single"]["test"], params),
        pictures=[Illustration(figure, "Maps", 'of "birds"', "a caption")],
        illustrations=[absent("SPN Fig. 8", "The test pictures have no boxes.")],
        charts=[chart("CAM and SPN", {"CAM": ([1, 2], [2.0, 1.0]), "SPN": ([1, 2], [2.1, 0.9])})],
        cards=[data_card(track, "cutouts", own) for track, own in splits.items()],
        params=params.model_dump(),
        environment=[("Python", "3")],
    )

"""What teaches what in SPG: from the localization map to branch C (SPG Fig. 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.methods.bases.spg.guidance import BACKGROUND, FOREGROUND, guidance_masks
from pipeline.methods.bases.spg.objective import upsample
from pipeline.models.maps import normalise_maps
from pipeline.packed.record import Record
from pipeline.params import Params
from pipeline.reporting.examples import Panels
from pipeline.reporting.figures import Panel, draw_examples
from pipeline.reporting.illustrations.choosing import RULE
from pipeline.reporting.illustrations.listing import Illustration

_BRANCHES = ("b2", "b1", "c")
_SHADES = {BACKGROUND: 0, FOREGROUND: 255}
_IGNORED = 128


def guidance(
    path: Path,
    records: Mapping[int, Record],
    predictions: Mapping[str, Prediction],
    classes: Sequence[str],
    panels: Panels,
    params: Params,
) -> Illustration:
    """Draw localization map, Mask-A and the maps of B2, B1 and C (SPG Fig. 4).

    Args:
        predictions: of each record, by its id; those of a network without C have no row of it.
    """
    known = {name for prediction in predictions.values() for name in prediction.guidance}
    branches = [name for name in _BRANCHES if name in known]
    names = ["image", "localization map", "Mask-A", *(f"SPG-{name.upper()}" for name in branches)]
    rows: dict[str, list[Panel]] = {name: [] for name in names}
    for label, record in records.items():
        prediction = predictions[record.id]
        image, attention = panels.panel(record), prediction.map_of(label)
        shown = [
            image,
            panels.panel(record, attention),
            replace(image, image=seeds(attention, params)),
        ]
        # In [0, 1], as the thresholds that make masks of them.
        shown += [
            replace(panels.panel(record, prediction.guidance[name]), scale=(0, 1))
            for name in branches
        ]
        for row, panel in zip(rows.values(), shown, strict=True):
            row.append(panel)
    draw_examples(path, [classes[label] for label in records], rows)
    return Illustration(
        path,
        "SPG Fig. 4: from the localization map to the guidance",
        "Test pictures with localization map, the seeds cut from it, and the maps of the branches.",
        "Mask-A: seeds of foreground (white) and background (black), which teach B2; grey is left "
        "out. B2 teaches B1 in the same way, and the mean of both teaches C. The maps of branches "
        "have one scale, 0 to 1; each localization map has its own. "
        f"{RULE} Blue: true boxes.",
    )


def seeds(attention: Map, params: Params) -> NDArray[np.uint8]:
    """Return Mask-A of an attention map (h, w) in shades of grey, (S, S, 3) at the input's size."""
    maps = upsample(
        torch.from_numpy(attention.copy())[None], params.input.size, params.input.align_corners
    )
    fewest, fallback = params.spg.min_foreground, params.spg.fallback
    (mask,) = guidance_masks(normalise_maps(maps), params.spg, fewest, fallback).numpy()
    shades = np.full((*mask.shape, 3), _IGNORED, dtype=np.uint8)
    for value, shade in _SHADES.items():
        shades[mask == value] = shade
    return shades

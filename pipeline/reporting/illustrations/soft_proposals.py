"""Figures of the proposal map M: over epochs, over steps of the walk, and what it proposes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from pipeline.evaluation.localization.maps import Map, resize_map
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.energy_map import energy_map
from pipeline.methods.bases.spn.evolution import Epoch
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.methods.bases.spn.soft_proposal import (
    SoftProposal,
    distance_kernel,
    power_map,
    stationary_map,
)
from pipeline.packed.pictures import to_tensor, warp
from pipeline.packed.record import Record
from pipeline.reporting.examples import Panels
from pipeline.reporting.figures import Panel, draw_examples
from pipeline.reporting.illustrations.choosing import RULE
from pipeline.reporting.illustrations.listing import Illustration, absent

EPOCHS = 6
"""Epochs side by side at most."""

STEPS = (0, 1, 2, 3, 5, 10)
"""Steps of the walk that are shown; the paper's comes to rest after about ten."""

FIELDS = 100
"""Receptive fields that are shown, as in the paper."""


def evolution(
    path: Path,
    epochs: Sequence[Epoch],
    records: Mapping[str, Record],
    classes: Sequence[str],
    panels: Panels,
) -> Illustration:
    """Draw M and the response map over the epochs (SPN Fig. 3, second and third row).

    Args:
        records: those of the pictures that the epochs have maps of, by their ids.
    """
    title = "SPN Fig. 3: maps over the epochs of the training"
    if not epochs:
        return absent(title, "No validation picture had a label: no maps were kept.")
    places = np.linspace(0, len(epochs) - 1, min(EPOCHS, len(epochs))).round().astype(int)
    chosen = [epochs[place] for place in places]
    rows: dict[str, list[Panel]] = {}
    for number, name in enumerate(chosen[0].ids):
        record = records[name]
        label = f"{number + 1}: {classes[record.labels[0]]}"
        image = panels.panel(record)
        # M sums to 1: one scale tells how sharp it is.
        top = max(float(each.proposal_maps[number].max()) for each in chosen)
        rows[f"{label}, M"] = [image] + [
            replace(panels.panel(record, each.proposal_maps[number]), scale=(0, top))
            for each in chosen
        ]
        rows[f"{label}, response"] = [image] + [
            panels.panel(record, each.response_maps[number]) for each in chosen
        ]
    draw_examples(path, ["image", *(f"epoch {each.epoch}" for each in chosen)], rows)
    return Illustration(
        path,
        title,
        "Validation pictures, each with the proposal map and the response map after some epochs.",
        f"The first {len(chosen[0].ids)} validation pictures, and the first class of each. M has "
        "one scale in a row, from 0 on; each response map has its own. Blue: true boxes.",
    )


@torch.inference_mode()
def walk(
    path: Path,
    network: SoftProposalNetwork,
    records: Mapping[int, Record],
    size: int,
    classes: Sequence[str],
    panels: Panels,
) -> Illustration:
    """Draw M after some steps of the random walk, and where it comes to rest (SPN Fig. 4)."""
    images = torch.stack([to_tensor(warp(each.image, size)) for each in records.values()])
    walked, rest = walk_maps(network.soft_proposal, network.features(images))
    rows = {}
    for place, (label, record) in enumerate(records.items()):
        maps = [own[place].numpy() for own in (*walked, rest)]
        scale = 0.0, float(max(own.max() for own in maps))
        shown = [
            replace(
                panels.panel(record, own, label=label),
                note=f"{misplaced(own, maps[-1]):.1f} % away",
                scale=scale,
            )
            for own in maps[:-1]
        ]
        last = replace(panels.panel(record, maps[-1], label=label), note="at rest", scale=scale)
        rows[classes[label]] = [panels.panel(record, label=label), *shown, last]
    steps = [f"{step} step" if step == 1 else f"{step} steps" for step in STEPS]
    columns = ["image", *steps, "closed form"]
    draw_examples(path, columns, rows)
    return Illustration(
        path,
        "SPN Fig. 4: steps of the random walk",
        "Test pictures, each with the proposal map after some steps of the walk, and at rest.",
        "M of the paper's iteration (SPN Algorithm 1) from the uniform map on, and the closed form "
        "that it comes to rest at. Below: the share of M's mass that still lies elsewhere. "
        f"The first test picture of each of the first {len(rows)} classes, none twice. "
        "One scale in a row, from 0 on. Blue: true boxes.",
    )


def walk_maps(module: SoftProposal, features: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return M (B, h, w) of features (B, K, h, w) after each of `STEPS`, and in closed form."""
    height, width = features.shape[2:]
    kernel = distance_kernel(height, width, module.epsilon(height, width))
    cells = features.flatten(2).transpose(1, 2)
    finish = partial(module.finish, height=height, width=width)
    steps = [power_map(cells, kernel, step, 0.0, finish) for step in STEPS]
    rest = stationary_map(cells, kernel, finish)
    shape = (height, width)
    return [own.unflatten(1, shape) for own in steps], rest.unflatten(1, shape)


def misplaced(one: Map, other: Map) -> float:
    """Return the share of the mass of a map with sum 1 that lies elsewhere than another's, %."""
    return float(50 * np.abs(one - other).sum())


def proposals(
    path: Path,
    records: Mapping[int, Record],
    predictions: Mapping[str, Prediction],
    fields_xyxy: NDArray[np.float64],
    classes: Sequence[str],
    panels: Panels,
) -> Illustration:
    """Draw pictures, coupled to their M, and M's best receptive fields (SPN Fig. 5).

    Args:
        predictions: of each record, by its id, with its proposal map (h, w).
        fields_xyxy: (h, w, 4) of the cells, as shares of the picture's sides.
    """
    rows: dict[str, list[Panel]] = {"image": [], "coupled to M": [], "receptive fields": []}
    for label, record in records.items():
        proposal = predictions[record.id].proposal_map
        assert proposal is not None
        plain = panels.panel(record, label=label)
        bare = replace(plain, true_xyxy=plain.true_xyxy[:0])
        rows["image"].append(plain)
        rows["coupled to M"].append(replace(bare, image=coupled(plain.image, proposal)))
        seen = overlapping(plain.image, best_cells(proposal), fields_xyxy)
        rows["receptive fields"].append(replace(bare, image=seen))
    draw_examples(path, [classes[label] for label in records], rows)
    side, cells = (fields_xyxy[..., 2] - fields_xyxy[..., 0]).max() * 100, len(fields_xyxy) ** 2
    return Illustration(
        path,
        "SPN Fig. 5: what M proposes",
        "Test pictures, the same multiplied by M, and where M's best receptive fields overlap.",
        "Middle: the picture times M, M brought to a maximum of 1. Below: dots are the "
        f"{min(FIELDS, cells)} of {cells} cells where M is largest, and a pixel is the brighter "
        "the more of their receptive fields it lies in. A field, cut off at the edges, has up to "
        f"{side:.0f} % of the picture's side. {RULE} Blue: true boxes.",
    )


def coupled(image: NDArray[np.uint8], proposal: Map) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) times a proposal map (h, w), which is brought to a maximum of 1."""
    weights = resize_map(proposal / proposal.max(), *image.shape[:2])
    return (image * weights[..., None]).round().astype(np.uint8)


def best_cells(proposal: Map) -> NDArray[np.intp]:
    """Return rows and columns of the `FIELDS` cells where M (h, w) is largest, (2, n)."""
    order = np.argsort(-proposal, axis=None, kind="stable")[:FIELDS]
    return np.array(np.unravel_index(order, proposal.shape))


def overlapping(
    image: NDArray[np.uint8], cells: NDArray[np.intp], fields_xyxy: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return an image (H, W, 3), brighter where more of the fields of cells (2, n) lie, with dots.

    Args:
        fields_xyxy: (h, w, 4) of all cells, as shares of the image's sides.
    """
    height, width = image.shape[:2]
    boxes = fields_xyxy[*cells] * np.array([width, height] * 2)
    share = energy_map(boxes, np.ones(len(boxes)), height, width) / len(boxes)
    picture = Image.fromarray((image * share[..., None]).round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    rows, columns = fields_xyxy.shape[:2]
    for row, column in cells.T:
        centre = ((column + 0.5) / columns * width, (row + 0.5) / rows * height)
        pen.circle(centre, max(width, height) / 100, fill="yellow", outline="black")
    return np.asarray(picture)

"""Proposals of the trained region proposal network."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader

from pipeline.evaluation.localization.inference import WholeImages
from pipeline.methods import rpn
from pipeline.methods.bases.proposals import Proposals
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.processes import loaders


def region_proposals(
    network: rpn.RegionProposer, split: PackedSplit, params: Params
) -> Iterator[Proposals]:
    """Yield the `rpn.boxes` best proposals of each image of `split`, in order."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    images = WholeImages(split, params.input.size)
    loader = DataLoader(images, params.evaluate.batch_size, num_workers=loaders())
    records = iter(split)
    for batch in loader:
        for boxes, scores in rpn.propose(network, batch.to(device), params.rpn.boxes):
            record = next(records)
            sides = np.array([record.width, record.height] * 2, np.float32)
            yield Proposals(
                record.id, split.split, boxes.cpu().numpy() * sides, scores.cpu().numpy()
            )

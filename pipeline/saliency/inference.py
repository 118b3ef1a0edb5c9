"""Saliency maps of a packed split, beside the class scores that the network gave before."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from torch import nn

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.metrics.pointing import pointing_classes
from pipeline.models.device import compute_device
from pipeline.packed.loading import loader
from pipeline.packed.pictures import WholeImages
from pipeline.packed.record import Record, Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, SaliencyMethod
from pipeline.saliency.methods import saliency_maps
from pipeline.saliency.smoothing import SMOOTHED, smoothed

ASKED: Mapping[Task, Callable[[Record], Sequence[int]]] = {
    "multi": lambda record: pointing_classes(record.box_labels, record.difficult).tolist(),
    "single": lambda record: record.labels,
}
"""The classes whose maps the protocol looks at: those it points at, or the true one."""


def with_saliency(
    pairs: Iterable[tuple[Prediction, Record]],
    split: PackedSplit,
    network: nn.Module,
    method: SaliencyMethod,
    params: Params,
) -> Iterator[tuple[Prediction, Record]]:
    """Yield the predictions with saliency maps of the classes asked of each image, and the records.

    Maps are made from whole images, a batch at a time, and are not kept. Those of the methods
    `SMOOTHED` are at the size of the image if `saliency.smoothing` is above 0.

    Args:
        pairs: the network's predictions of `split` and their records, in its order.

    Raises:
        InputError: as the method; predictions of other images.
    """
    device = compute_device()
    network = network.to(device)
    share = params.saliency.smoothing
    rows, images = iter(pairs), WholeImages(split, params.input.size)
    for batch in loader(images, params.evaluate.batch_size):
        chosen = list(islice(rows, len(batch)))
        asked = [ASKED[split.task](record) for _, record in chosen]
        found = saliency_maps(network, batch.to(device), asked, method, params.saliency)
        for (prediction, record), classes, maps in zip(chosen, asked, found, strict=True):
            labels = np.array(classes, dtype=np.int64)
            answered = replace(prediction, map_classes=labels, maps=maps.numpy())
            if share and method in SMOOTHED:
                answered = smoothed(answered, record, share, params.input.align_corners)
            yield answered, record
    yield from rows

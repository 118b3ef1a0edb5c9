"""Proposals of methods that look at one image alone and learn nothing."""

from collections.abc import Callable, Iterator
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pipeline.packed.proposals import Proposals
from pipeline.packed.record import Boxes, Record
from pipeline.packed.store import PackedSplit
from pipeline.processes import workers
from pipeline.signals import leave_signals_to_parent

Search = Callable[[NDArray[np.uint8]], tuple[Boxes, NDArray[np.float32]]]
"""RGB image (H, W, 3) -> boxes (n, 4) in its pixels, half-open, and scores (n,), best first."""


def search(split: PackedSplit, method: Search) -> Iterator[Proposals]:
    """Yield the proposals of each image of `split`, in order, from several processes.

    `method` must be picklable. Memory does not grow with the number of images.
    """
    # Images share the cores; OpenCV's pool of threads would not survive the fork of processes.
    cv2.setNumThreads(1)
    found = DataLoader(
        _Searched(split, method),
        batch_size=None,
        num_workers=workers(),
        worker_init_fn=leave_signals_to_parent,
    )
    yield from tqdm(found, desc=f"{split.name}, {split.split}", unit=" images", disable=None)


class _Searched(Dataset[Proposals]):
    def __init__(self, split: PackedSplit, method: Search) -> None:
        self.split, self.method = split, method

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Proposals:
        record = self.split[index]
        boxes, scores = self.method(image := decode(record))
        height, width = image.shape[:2]
        scale = np.array([record.width / width, record.height / height] * 2)
        return Proposals(record.id, self.split.split, (boxes * scale).astype(np.float32), scores)


def decode(record: Record) -> NDArray[np.uint8]:
    """Return the record's picture as it is stored, RGB (H, W, 3)."""
    return np.asarray(Image.open(BytesIO(record.image)).convert("RGB"))

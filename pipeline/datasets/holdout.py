"""Holding out a part of the official training images, to choose thresholds on."""

import hashlib
from collections.abc import Iterable


def hold_out(ids: Iterable[str], fraction: float, seed: int) -> frozenset[str]:
    """Choose `fraction` (0-1, rounded to whole images) of `ids` by a hash of seed and id.

    The choice does not depend on the order of `ids`.
    """
    ranked = sorted(ids, key=lambda id: hashlib.sha256(f"{seed}:{id}".encode()).digest())
    return frozenset(ranked[: round(fraction * len(ranked))])

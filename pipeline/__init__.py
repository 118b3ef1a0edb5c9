"""Weakly supervised object localization: Soft Proposal Networks and Self-produced Guidance.

`pipeline.load` gives a trained model for pictures of users. Nothing else is imported with the
package: the networks take seconds.
"""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.prediction.model import TrainedModel


def load(
    path: str | PathLike[str], threshold: float | None = None, boxes_from: str | None = None
) -> "TrainedModel":
    """Return the trained model in the folder `path`; see `pipeline.prediction.model.load`."""
    from pipeline.prediction import model

    return model.load(path, threshold, boxes_from)

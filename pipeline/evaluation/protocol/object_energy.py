"""Object Energy of a network's proposals and of controls that see no image (SPN Table 1)."""

from collections.abc import Iterator
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.object_energy import centred_gaussian, object_energy
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.estimates import Figures, Statistic
from pipeline.methods.spn.soft_proposal import SoftProposal
from pipeline.params import Params, SpnParams

CENTRE_SIGMA = 0.25
"""Standard deviation of the centred Gaussian control, as a share of each side."""


class ObjectEnergy:
    """Mean Object Energy of proposal maps; no figure for networks that have none."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._controls: dict[str, Iterator[Map]] = {}
        self._energies: dict[str, list[float]] = {}

    def note(self, answer: Answer) -> None:
        """Note the energies of an image, or NaN where it has no boxes."""
        proposal = answer.prediction.proposal_map
        if proposal is None:
            return
        if not self._controls:
            height, width = proposal.shape
            self._controls = control_maps(height, width, self._params.spn, self._params.seed)
        maps = {"model": proposal} | {name: next(own) for name, own in self._controls.items()}
        for name, values in maps.items():
            self._energies.setdefault(name, []).append(_energy(answer, values))

    def statistic(self) -> Statistic:
        """Return the means, percent."""
        energies = {name: np.array(values) for name, values in self._energies.items()}

        def figures(weights: Weights) -> Figures:
            means = {name: mean_of_defined(own, weights) for name, own in energies.items()}
            return {"object_energy": means} if means else {}

        return figures


def _energy(answer: Answer, values: Map) -> float:
    boxes: NDArray[np.float32] = answer.record.boxes_xyxy
    return object_energy(answer.at_image_size(values), boxes) if len(boxes) else float("nan")


def control_maps(height: int, width: int, params: SpnParams, seed: int) -> dict[str, Iterator[Map]]:
    """Return controls that look at no image, each an endless row of maps (height, width).

    Uniform, a Gaussian in the centre, and Soft Proposals of features at random.
    """
    uniform = np.full((height, width), 1 / (height * width), dtype=np.float32)
    gaussian = centred_gaussian(height, width, CENTRE_SIGMA)
    return {
        "uniform": repeat(uniform),
        "gaussian": repeat(gaussian),
        "random_features": random_feature_maps(height, width, params, seed),
    }


def random_feature_maps(height: int, width: int, params: SpnParams, seed: int) -> Iterator[Map]:
    """Yield proposal maps (height, width) of rectified Gaussian noise instead of features."""
    generator = torch.Generator().manual_seed(seed)
    proposal = SoftProposal(params)
    shape = (1, params.channels, height, width)
    while True:
        yield proposal(torch.randn(shape, generator=generator).relu())[0].numpy()

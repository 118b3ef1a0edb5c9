"""Object Energy of a network's proposals and of controls that see no image (SPN Table 1)."""

from collections.abc import Callable, Iterator
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.metrics.average_precision import mean_of_defined
from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.metrics.object_energy import centred_gaussian, object_energy
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.estimates import Figures, Statistic

CENTRE_SIGMAS = (0.15, 0.20, 0.25)
"""Standard deviations of the centred Gaussians, as shares of each side. None is chosen for the
data: where photographers put objects in the middle the narrowest always wins."""


Control = Callable[[int, int, int], Iterator[Map]]
"""(height, width, seed) -> an endless row of proposal maps of features at random."""


class ObjectEnergy:
    """Mean Object Energy of proposal maps; no figure for networks that have none.

    `control` makes proposal maps as the network does, of features at random.
    """

    def __init__(self, seed: int, control: Control | None = None) -> None:
        self._seed, self._control = seed, control
        self._controls: dict[str, Iterator[Map]] = {}
        self._energies: dict[str, list[float]] = {}

    def note(self, answer: Answer) -> None:
        """Note the energies of an image, or NaN where it has no boxes."""
        proposal = answer.prediction.proposal_map
        if proposal is None:
            return
        if not self._controls:
            height, width = proposal.shape
            self._controls = constant_maps(height, width)
            if self._control:
                random = self._control(height, width, self._seed)
                self._controls["random_features"] = random
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


def constant_maps(height: int, width: int) -> dict[str, Iterator[Map]]:
    """Return controls that look at no image, each an endless row of maps (height, width).

    Uniform, and Gaussians in the centre: "gaussian_15" has a standard deviation of 0.15.
    """
    uniform = np.full((height, width), 1 / (height * width), dtype=np.float32)
    maps = {"uniform": uniform} | {
        f"gaussian_{round(100 * sigma)}": centred_gaussian(height, width, sigma)
        for sigma in CENTRE_SIGMAS
    }
    return {name: repeat(values) for name, values in maps.items()}

"""Object Energy against the size of objects, and over the training (SPN Fig. 6)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray

from pipeline.evaluation.localization.boxes import union_mask
from pipeline.evaluation.metrics.object_energy import centred_gaussian, object_energy
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.reporting.figures import save
from pipeline.reporting.illustrations.listing import NO_BOXES, Illustration, absent

SIGMA = 0.2
"""Standard deviation of the centred Gaussian that is drawn as a control, a share of the side."""

# Colours that colour-blind people tell apart (Okabe and Ito), each with its own line and mark.
_LOOKS = (
    ("#0072b2", "-", "."),
    ("#d55e00", "--", "x"),
    ("#009e73", "-.", "+"),
    ("#aa4499", ":", "1"),
    ("#000000", "-", "2"),
)

Energies = Mapping[str, NDArray[np.float64]]
"""Object Energy of each test picture, percent, (n,), by the name of what proposes."""


def sizes_and_energies(pairs: Pairs, align_corners: bool) -> tuple[NDArray[np.float64], Energies]:
    """Return the share of each picture that its boxes cover, percent, (n,), and energies.

    Those of SPN's M and of a centred Gaussian, which sees no picture; all NaN of a picture without
    boxes.

    Args:
        pairs: predictions with proposal maps, and their records.
    """
    rows = [_measured(Answer(*pair, align_corners)) for pair in pairs]
    size, spn, gaussian = np.array(rows).reshape(-1, 3).T
    return size, {"SPN": spn, f"centred Gaussian, sigma {SIGMA}": gaussian}


def _measured(answer: Answer) -> tuple[float, float, float]:
    record, proposal = answer.record, answer.prediction.proposal_map
    if proposal is None or not len(record.boxes_xyxy):
        return (float("nan"),) * 3
    share = union_mask(record.boxes_xyxy, record.height, record.width).mean()
    height, width = proposal.shape
    maps = (proposal, centred_gaussian(height, width, SIGMA))
    spn, gaussian = (object_energy(answer.at_image_size(m), record.boxes_xyxy) for m in maps)
    return 100 * float(share), spn, gaussian


def cubic_fit(x: ArrayLike, y: ArrayLike) -> Polynomial:
    """Return the polynomial of least squares through (n,) points, of degree 3.

    Of a lower degree where fewer than four values of x are different.
    """
    places = np.asarray(x, dtype=np.float64)
    return Polynomial.fit(
        places, np.asarray(y, dtype=np.float64), min(3, len(np.unique(places)) - 1)
    )


def against_size(path: Path, sizes: NDArray[np.float64], energies: Energies) -> Illustration:
    """Draw a dot for each picture, and a cubic through those of each method (SPN Fig. 6a)."""
    title = "SPN Fig. 6a: Object Energy against the size of the objects"
    boxed = ~np.isnan(sizes)
    if not boxed.any():
        return absent(title, NO_BOXES)
    figure, axes = _plot("share of the picture that boxes cover, %")
    x = sizes[boxed]
    line = np.linspace(x.min(), x.max(), 200) if np.ptp(x) else x[:1]
    for (name, own), (colour, dash, mark) in zip(energies.items(), _LOOKS, strict=False):
        axes.plot(x, own[boxed], mark, color=colour, ms=4, alpha=0.5)
        axes.plot(line, cubic_fit(x, own[boxed])(line), dash, color=colour, lw=2, label=name)
    axes.plot(line, line, color="#777777", lw=1, label="uniform map")
    axes.set_ylim(0, 100)
    axes.legend(fontsize=9, frameon=False)
    return Illustration(
        save(figure, path),
        title,
        f"A dot for each test picture, and a curve for each of {', '.join(energies)}.",
        f"A dot for each of {boxed.sum()} test pictures, and a polynomial of degree 3 fitted to "
        "those of each method. A uniform map has the share that boxes cover. Higher is "
        "better.",
    )


def over_epochs(path: Path, epochs: Sequence[float], energies: Sequence[float]) -> Illustration:
    """Draw the mean Object Energy, percent, after each epoch of a training (SPN Fig. 6b)."""
    title = "SPN Fig. 6b: Object Energy over the epochs"
    if not energies:
        return absent(title, "The validation pictures have no boxes.")
    figure, axes = _plot("epoch")
    axes.plot(epochs, energies, "o-", color=_LOOKS[0][0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return Illustration(
        save(figure, path),
        title,
        f"A curve from {energies[0]:.1f} % after the first epoch to {energies[-1]:.1f} %.",
        "Mean over the first validation pictures that have boxes, 48 at most. Mind the scale: it "
        "does not begin at 0.",
    )


def _plot(across: str) -> tuple[Figure, Axes]:
    """Return an empty plot of Object Energy, and its axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_xlabel(across)
    axes.set_ylabel("Object Energy, %")
    return figure, axes

"""What one network gains over another on the same images: the paired bootstrap."""

from collections.abc import Sequence

from pipeline.evaluation.metrics.bootstrap import Weights
from pipeline.evaluation.protocol.estimates import Figures, Judged, Statistic, estimate
from pipeline.params import Params


def differences(method: Sequence[Judged], twin: Sequence[Judged], params: Params) -> Figures:
    """Return method - twin for each figure that both have, percentage points with intervals.

    Figures of single classes are left out. Each resample draws the same images for both, so that
    what makes an image easy or hard for both has no part in the interval (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, Sec. 8.6). The difference is real, as far as images tell,
    where the interval does not hold 0; another training could still turn it.

    Args:
        method, twin: what `judge` gives for the same splits.
    """
    found: Figures = {}
    for own, other in zip(method, twin, strict=True):
        found |= estimate(_paired(own.statistic, other.statistic), own.images, params)
    return found


def _paired(method: Statistic, twin: Statistic) -> Statistic:
    def figures(weights: Weights) -> Figures:
        return _less(method(weights), twin(weights))

    return figures


def _less(method: Figures, twin: Figures) -> Figures:
    """Subtract the figures that both have, but for those of single classes."""
    return {
        name: _less(value, twin[name]) if isinstance(value, dict) else value - twin[name]
        for name, value in method.items()
        if name in twin and "per_class" not in name
    }

"""Learning curves as coordinates of a small drawing, a panel for each group of networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, BOTTOM = 300, 150, 34, 24
"""Size of the drawing, and what its axes take of it, units of the view box."""
_ROOM = 8

Curve = tuple[Sequence[float], Sequence[float]]
"""Epochs and values, of the same length."""


@dataclass(frozen=True)
class Line:
    """A curve: its points (x, y) in the drawing, each with its epoch and value."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]

    @property
    def path(self) -> str:
        """The points as SVG wants them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in self.points)


@dataclass(frozen=True)
class Chart:
    """Lines on common axes; ticks are (position, text)."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def chart(title: str, curves: Mapping[str, Curve]) -> Chart:
    """Return the chart of curves by name, from 0 upwards."""
    epochs = [epoch for own, _ in curves.values() for epoch in own] or [1.0]
    values = [value for _, own in curves.values() for value in own] or [1.0]
    first, last = min(epochs), max(epochs)
    step = _step(max(values))
    top = step * max(1, ceil(max(values) / step))

    def x(epoch: float) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - _ROOM)

    def y(value: float) -> float:
        return _ROOM + (1 - value / top) * (HEIGHT - BOTTOM - _ROOM)

    lines = tuple(
        Line(name, tuple((x(e), y(v), e, v) for e, v in zip(*curve, strict=True)))
        for name, curve in curves.items()
    )
    every = max(1, ceil((last - first) / 8))
    shown = range(floor(first), floor(last) + 1, every)
    return Chart(
        title,
        lines,
        tuple((x(epoch), str(epoch)) for epoch in shown),
        tuple((y(step * i), f"{step * i:g}") for i in range(round(top / step) + 1)),
    )


def _step(largest: float) -> float:
    """A round distance of ticks that has three to six of them up to the largest value."""
    rough = (largest or 1.0) / 4
    magnitude = 10 ** floor(log10(rough))
    return next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)

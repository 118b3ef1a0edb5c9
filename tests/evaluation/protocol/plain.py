"""Figures without their intervals."""

from typing import Any


def plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return `figures` with {"value", "low", "high"} replaced by the value, at every depth."""
    return {
        name: value if not isinstance(value, dict) else value.get("value", plain(value))
        for name, value in figures.items()
    }

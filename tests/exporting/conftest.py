"""The models of the tests of prediction."""

from tests.prediction.conftest import leave, models, models_once

__all__ = ["leave", "models", "models_once"]

"""The trained networks of the tests of the stages."""

from tests.stages.conftest import leave_network

__all__ = ["leave_network"]

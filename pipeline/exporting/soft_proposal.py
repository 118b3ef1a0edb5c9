"""Soft Proposal without loops over blocks and without conditions on values, as a graph needs it.

The whole D' of a batch is made at once. In float64: the squared distances |u_a|^2 + |u_b|^2 - 2 u_a
u_b then keep enough digits where they cancel, which `pipeline.methods.bases.spn.soft_proposal`
computes again instead.
"""

import torch
from torch import Tensor, nn

from pipeline.methods.bases.spn.soft_proposal import (
    Kernel,
    SoftProposal,
    distance_kernel,
    normalise,
)


class WholeSoftProposal(nn.Module):
    """The proposal maps (B, H, W) of features (B, K, H, W), by the solver of `module`."""

    def __init__(self, module: SoftProposal) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        kernel = distance_kernel(height, width, self.module.epsilon(height, width))
        edges = weights(features.flatten(2).transpose(1, 2).double(), kernel)
        stationary = self.module.params.solver == "stationary"
        mass = edges.sum(2) if stationary else self._walked(edges)
        return self.module.finish(mass, height, width).unflatten(1, (height, width)).float()

    def _walked(self, edges: Tensor) -> Tensor:
        """Return what the paper's iteration gives; an image that has come to rest stays there."""
        degrees = edges.sum(1)
        inverse = torch.where(degrees == 0, 0, 1 / degrees.where(degrees != 0, 1))
        mass = torch.zeros_like(degrees)
        current = normalise(mass)
        walking = torch.ones_like(degrees[:, :1], dtype=torch.bool)
        for _ in range(self.module.params.max_iterations):
            mass = torch.where(walking, (edges @ (inverse * current)[:, :, None])[:, :, 0], mass)
            following = torch.where(walking, normalise(mass), current)
            moved = (following - current).square().sum(1, keepdim=True).sqrt()
            walking = walking & (moved >= self.module.params.tolerance)
            current = following
        return mass


def weights(cells: Tensor, kernel: Kernel) -> Tensor:
    """Return D' (B, N, N) of cells (B, N, K) in float64."""
    cells = cells - cells[:, :1]  # Distances ignore a common offset, and cancel less without.
    squares = cells.square().sum(2)
    squared = squares[:, :, None] + squares[:, None] - 2 * cells @ cells.transpose(1, 2)
    itself = torch.eye(cells.shape[1], dtype=torch.float64)
    return squared.clamp(min=0).mul(1 - itself).sqrt() * kernel.block(slice(0, cells.shape[1]))

"""Soft Proposal: an objectness map from the deep features of one image (SPN Sec. 3.1).

Every cell of the feature map is a node of a fully connected graph. The weight of the edge between
cells a and b grows with the difference of their features and falls with their distance,

    D'[a, b] = |u_a - u_b| * exp(-|a - b|^2 / (2 epsilon^2)),

each column is divided by its sum, and the proposal map M is where a random walk on the graph comes
to rest, M = D M. D' is symmetric, so the walk is reversible and rests at the degrees of the nodes:
with d = D' 1 it is D d = D' diag(1 / d) d = D' 1 = d, hence M = d / sum(d) without any iteration.
"""

from math import sqrt

import torch
from torch import Tensor, nn

from pipeline.params import SpnParams


def distance_kernel(height: int, width: int, epsilon: float) -> Tensor:
    """Return exp(-|a - b|^2 / (2 epsilon^2)) for all pairs of cells, (H*W, H*W), row-major.

    Args:
        epsilon: width of the kernel in cells, > 0.
    """

    def along(length: int) -> Tensor:
        offset = torch.arange(length, dtype=torch.float32)
        return torch.exp(-((offset[:, None] - offset[None, :]) ** 2) / (2 * epsilon**2))

    return torch.kron(along(height), along(width))


def feature_distances(features: Tensor) -> Tensor:
    """Return the L2 distances |u_a - u_b| between all cells, (B, H*W, H*W), of (B, K, H, W).

    The diagonal is exactly 0, and so is the whole matrix when the features are constant.
    """
    cells = features.flatten(2).transpose(1, 2)
    # Distances ignore a common offset; taking one cell as origin keeps digits that |u|^2 would eat.
    cells = cells - cells[:, :1].detach()
    squares = cells.square().sum(2)
    products = cells @ cells.transpose(1, 2)
    squared = squares[:, :, None] + squares[:, None, :] - 2 * products
    itself = torch.eye(cells.shape[1], dtype=torch.bool, device=cells.device)
    # The root has no finite slope at 0: mask before it, or its gradient would be NaN.
    apart = (squared > 0) & ~itself
    return torch.where(apart, squared.where(apart, torch.ones_like(squared)).sqrt(), 0)


def edge_weights(features: Tensor, epsilon: float) -> Tensor:
    """Return D' before normalisation, (B, H*W, H*W), symmetric, >= 0 (SPN Sec. 3.1)."""
    height, width = features.shape[2:]
    kernel = distance_kernel(height, width, epsilon).to(features)
    return feature_distances(features) * kernel


def _normalise(mass: Tensor) -> Tensor:
    """Divide (B, N) by its sums; rows without any mass become uniform."""
    total = mass.sum(1, keepdim=True)
    uniform = torch.full_like(mass, 1 / mass.shape[1])
    return torch.where(total > 0, mass / total.where(total > 0, torch.ones_like(total)), uniform)


def stationary_map(weights: Tensor) -> Tensor:
    """Return the resting place of the walk in closed form, (B, N), from D' (B, N, N)."""
    return _normalise(weights.sum(1))


def power_map(weights: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """Return M after the paper's iteration M <- D M from 1/N, (B, N) (SPN Eq. 1, Algorithm 1).

    It ends after `max_iterations` steps, or earlier when no image's M moved by `tolerance` (L2)
    or more. M is renormalised at each step, as in the released code.
    """
    sums = weights.sum(1, keepdim=True)
    walk = torch.where(sums > 0, weights / sums.where(sums > 0, torch.ones_like(sums)), 0)
    current = _normalise(torch.zeros_like(weights[:, 0]))
    for _ in range(max_iterations):
        following = _normalise((walk @ current[:, :, None])[:, :, 0])
        moved = (following - current).norm(dim=1).max()
        current = following
        if moved < tolerance:
            break
    return current


class SoftProposal(nn.Module):
    """Proposal maps M (B, H, W), each >= 0 with sum 1, of features U (B, K, H, W).

    Constant features give the uniform map. By default M is a constant of the backward pass, so
    that the gradient of V = U * M with respect to U is M alone (SPN Eq. 6).
    """

    def __init__(self, params: SpnParams) -> None:
        super().__init__()
        self.params = params

    def epsilon(self, height: int, width: int) -> float:
        """Width of the distance kernel in cells; the side of a non-square map is sqrt(H*W)."""
        area = height * width
        relative_to = {"side": sqrt(area), "area": float(area)}
        return self.params.epsilon * relative_to[self.params.epsilon_relative_to]

    def forward(self, features: Tensor) -> Tensor:
        if not self.params.differentiate_through_m:
            features = features.detach()
        height, width = features.shape[2:]
        weights = edge_weights(features, self.epsilon(height, width))
        if self.params.solver == "stationary":
            flat = stationary_map(weights)
        else:
            flat = power_map(weights, self.params.max_iterations, self.params.tolerance)
        return flat.unflatten(1, (height, width))

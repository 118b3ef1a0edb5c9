"""Soft Proposal: an objectness map from the deep features of one image (SPN Sec. 3.1).

Every cell of the feature map is a node of a fully connected graph. The weight of the edge between
cells a and b grows with the difference of their features and falls with their distance,

    D'[a, b] = |u_a - u_b| * exp(-|a - b|^2 / (2 epsilon^2)),

each column is divided by its sum, and the proposal map M is where a random walk on the graph comes
to rest, M = D M. D' is symmetric, so the walk is reversible and rests at the degrees of the nodes:
with d = D' 1 it is D d = D' diag(1 / d) d = D' 1 = d, hence M = d / sum(d) without any iteration.

D' has N^2 elements for N = H * W cells, but the degrees need none of them for long: it is made in
blocks of rows from the diagonal on, which are summed both ways and dropped. The squared distances
are |u_a|^2 + |u_b|^2 - 2 u_a u_b, with one matrix product; where that cancels, |u_a - u_b|^2.

Beyond the paper, and off by default: a cell at the border has fewer neighbours, hence a smaller
degree whatever the picture shows. Divided by the mass of its kernel,

    m_a = sum over b != a of exp(-|a - b|^2 / (2 epsilon^2)),

which is the degree that constant distances of 1 would give, a degree becomes the mean distance
between the features of its cell and the others', weighted by the kernel: equal distances give the
uniform map, and independent features of one distribution give each cell the same expectation. Then
an exponent gamma sharpens what is left, or flattens it below 1:

    M = (d / m)^gamma / sum((d / m)^gamma).
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from math import ceil, inf, sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from pipeline.params import SpnParams

ROWS = {"cpu": 80, "cuda": 1024}
"""Rows of D' made at a time at most, by device. Fewer leave less below the diagonal to be made in
vain; more mean fewer steps, each with a cost of its own to start, which is higher on a GPU."""
ELEMENTS = 2**22
"""Features of so many elements are worked on together (16 MiB of float32, at least one image):
enough images for a batched product to share among threads, and little beside the features."""
NEAR = 2**-7
"""Squared distances below this share of |u|^2 are computed again, from the difference of the
features: the matrix product has lost 7 or more of its 24 binary digits there."""


class Kernel(NamedTuple):
    """Factors of the kernel exp(-|a - b|^2 / (2 epsilon^2)) between cells a and b of a map.

    Attributes:
        vertical: (N, H) from a cell to each row of cells.
        horizontal: (N, W) from a cell to each column of cells.
    """

    vertical: Tensor
    horizontal: Tensor

    def block(self, rows: slice) -> Tensor:
        """Return the kernel from cells `rows` to `rows.start` and later: (rows, N - start)."""
        factors = self.vertical[rows, :, None] * self.horizontal[rows, None]
        return factors.flatten(1)[:, rows.start :]


class Block(NamedTuple):
    """Edges of some images: from the cells `rows` to the cell `rows.start` and all later ones.

    Attributes:
        origins: (b, rows, K) features of the former, up to an offset common to the image.
        targets: (b, N - start, K) features of the latter, with the same offset.
        distances: (b, rows, N - start) L2 distances of these features.
        kernel: (rows, N - start).
    """

    images: slice
    rows: slice
    origins: Tensor
    targets: Tensor
    distances: Tensor
    kernel: Tensor


def distance_kernel(height: int, width: int, epsilon: float) -> Kernel:
    """Return the kernel of a map, in float64.

    Args:
        epsilon: width of the kernel in cells, > 0.
    """
    vertical, horizontal = kernel_along(height, epsilon), kernel_along(width, epsilon)
    return Kernel(vertical.repeat_interleave(width, 0), horizontal.repeat(height, 1))


def kernel_along(length: int, epsilon: float) -> Tensor:
    """Return the kernel between the places of a row or a column of cells, (length, length)."""
    place = torch.arange(length, dtype=torch.float64)
    return torch.exp(-((place[:, None] - place) ** 2) / (2 * epsilon**2))


@cache
@torch.inference_mode(False)  # What is kept must serve a training after an evaluation.
def kernel_mass(height: int, width: int, epsilon: float) -> Tensor:
    """Return the mass of the kernel about each cell, (N,), as a share of the largest, in float64.

    A cell's own 1 is no part of it. Where no kernel reaches another cell all masses are alike.
    """
    sides = ((height, epsilon), (width, epsilon))
    down, across = (kernel_along(*side).fill_diagonal_(0).sum(1) for side in sides)
    mass = (down[:, None] * (1 + across) + across).flatten()
    largest = mass.max()
    return mass / largest if largest > 0 else torch.ones_like(mass)


def blocks(features: Tensor, kernel: Kernel) -> Iterator[Block]:
    """Yield the edges of features (B, N, K) on and right of the diagonal, in blocks of like height.

    How rows are split depends on N alone, so that an image's edges are the same in every batch.
    """
    batch, count, channels = features.shape
    kernel = Kernel(*(factor.to(features.device, precision(features)) for factor in kernel))
    parts = ceil(count / ROWS.get(features.device.type, ROWS["cuda"]))
    height = ceil(count / parts)
    together = max(1, ELEMENTS // (count * channels))
    for first in range(0, batch, together):
        images = slice(first, first + together)
        some = features[images]
        contiguous = cache(some.contiguous)
        # Distances ignore a common offset; with a large one all pairs would count as near.
        cells = some - some[:, :1].to(precision(features))
        squares = torch.linalg.vector_norm(cells, dim=2).square_()  # in one reading
        for top in range(0, count, height):
            rows = slice(top, min(top + height, count))
            distances = feature_distances(contiguous, cells, squares, rows)
            yield Block(images, rows, cells[:, rows], cells[:, top:], distances, kernel.block(rows))


def precision(features: Tensor) -> torch.dtype:
    """Return the type to compute in: float32 for float16 and bfloat16, else that of `features`."""
    return torch.promote_types(features.dtype, torch.float32)


def feature_distances(
    features: Callable[[], Tensor], cells: Tensor, squares: Tensor, rows: slice
) -> Tensor:
    """Return the L2 distances from cells `rows` to `rows.start` and later ones: (b, rows, others).

    They are exactly 0 between equal cells, and NaN or infinite from a cell with a NaN, an infinity
    or a square that overflows.

    Args:
        features: gives (b, N, K), contiguous; called only when some are near each other.
        cells: (b, N, K) the features less an offset of each image.
        squares: (b, N) squared lengths of `cells`.
    """
    others = slice(rows.start, None)
    origins, lengths = cells[:, rows], squares[:, rows]
    squared = torch.baddbmm(
        squares[:, None, others], origins, cells[:, others].transpose(1, 2), alpha=-2
    ).add_(lengths[:, :, None])
    itself = squared.diagonal(dim1=1, dim2=2)
    itself.fill_(inf)
    if (squared.amin(2) < NEAR * lengths).any():
        recompute(squared, squared < NEAR * lengths[:, :, None], features(), rows.start)
    itself.copy_(lengths * 0)  # Not plain 0, which would hide a NaN in a map of one cell.
    return squared.sqrt_()


def recompute(squared: Tensor, near: Tensor, features: Tensor, first: int) -> None:
    """Set the elements `near` of `squared` to sums of squared differences, some at a time.

    Args:
        squared: (b, R, C) squared distances from cells `first`, ... to the same and later ones.
        near: (b, R, C) bool.
        features: (b, N, K), contiguous.
    """
    _, count, channels = features.shape
    every = features.flatten(0, 1)
    for some in near.nonzero().split(max(1, ELEMENTS // channels)):
        image, origin, target = some.unbind(1)
        start = image * count + first
        difference = every[start + origin].to(squared.dtype) - every[start + target]
        squared[image, origin, target] = difference.square_().sum(1)


def gradient(features: Tensor, kernel: Kernel, slopes: Callable[[slice, slice], Tensor]) -> Tensor:
    """Return the gradient of a loss with respect to features (B, N, K).

    That of u_a is sum_b S[a, b] kernel[a, b] (u_a - u_b) / |u_a - u_b|; equal cells add nothing.

    Args:
        slopes: gives S of the images and the rows of a block: the sum of the slopes of the loss in
            D'[a, b] and in D'[b, a].
    """
    found = torch.zeros_like(features, dtype=precision(features))
    for images, rows, origins, targets, distances, falloff in blocks(features, kernel):
        pull = slopes(images, rows).mul_(falloff).div_(distances).masked_fill_(distances == 0, 0)
        into, back = found[images], pull[:, :, len(falloff) :].transpose(1, 2)
        into[:, rows] += pull.sum(2)[:, :, None] * origins - pull @ targets
        into[:, rows.stop :] += (
            back.sum(2)[:, :, None] * targets[:, len(falloff) :] - back @ origins
        )
    return found.to(features.dtype)


class Degrees(Function):
    """The degrees d = D' 1, (B, N), of features (B, N, K), with one block in memory at a time."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(features)
        ctx.kernel = kernel
        degrees = features.new_zeros(features.shape[:2], dtype=precision(features))
        for images, rows, _, _, distances, falloff in blocks(features, kernel):
            weights = distances.mul_(falloff)
            degrees[images, rows] += weights.sum(2)
            degrees[images, rows.stop :] += weights[:, :, len(falloff) :].sum(1)
        return degrees

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        def slopes(images: slice, rows: slice) -> Tensor:
            return slope[images, rows, None] + slope[images, None, rows.start :]

        return gradient(ctx.saved_tensors[0], ctx.kernel, slopes), None


class Weights(Function):
    """The whole D', (B, N, N), of features (B, N, K)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(features)
        ctx.kernel = kernel
        batch, count, _ = features.shape
        whole = features.new_empty(batch, count, count, dtype=precision(features))
        for images, rows, _, _, distances, falloff in blocks(features, kernel):
            weights = distances.mul_(falloff)
            whole[images, rows.start :, rows] = weights.transpose(1, 2)
            whole[images, rows, rows.start :] = weights
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        def slopes(images: slice, rows: slice) -> Tensor:
            later = slice(rows.start, None)
            return slope[images, rows, later] + slope[images, later, rows].transpose(1, 2)

        return gradient(ctx.saved_tensors[0], ctx.kernel, slopes), None


def normalise(mass: Tensor) -> Tensor:
    """Divide (B, N) by its sums; rows without any mass become uniform, rows with a NaN all NaN."""
    total = mass.sum(1, keepdim=True)
    uniform = torch.full_like(mass, 1 / mass.shape[1])
    return torch.where(total == 0, uniform, mass / total.where(total != 0, 1))


def sharpen(mass: Tensor, exponent: float) -> Tensor:
    """Return (B, N) >= 0 raised to `exponent` > 0, each row up to a factor of its own.

    Rows are first divided by their maximum: no power overflows, and no row becomes 0 that was not.
    """
    largest = mass.detach().amax(1, keepdim=True)  # No slope: a factor of the row has no effect.
    shares = mass / largest.where(largest != 0, 1)
    # At 0 a root has no slope; comparing with 0 keeps a NaN.
    powers = shares.where(shares != 0, 1).pow(min(exponent, torch.finfo(mass.dtype).max))
    return powers.where(shares != 0, 0)


Finish = Callable[[Tensor], Tensor]
"""Makes maps (B, N) with sum 1 of the mass that a solver gives the cells, (B, N) >= 0."""


def stationary_map(features: Tensor, kernel: Kernel, finish: Finish = normalise) -> Tensor:
    """Return the resting place of the walk in closed form, (B, N), of features (B, N, K)."""
    return finish(Degrees.apply(features, kernel))


def power_map(
    features: Tensor,
    kernel: Kernel,
    max_iterations: int,
    tolerance: float,
    finish: Finish = normalise,
) -> Tensor:
    """Return M after the paper's iteration M <- D M from 1/N (SPN Eq. 1, Algorithm 1), (B, N).

    An image's walk ends after `max_iterations` steps, or with the first that moves its M by less
    than `tolerance` (L2). M is renormalised at each step, as in the released code. That code does
    not apply the step that falls below the tolerance: its M is less than `tolerance` (L2) away. The
    D' of one image is in memory at a time; the backward pass makes each once more.
    """
    remade = partial(checkpoint, walk, use_reentrant=False, preserve_rng_state=False)
    return torch.stack(
        [remade(image, kernel, max_iterations, tolerance, finish) for image in features]
    )


def walk(
    features: Tensor, kernel: Kernel, max_iterations: int, tolerance: float, finish: Finish
) -> Tensor:
    """Return M of one image, (N,), of its features (N, K), as `power_map` does."""
    weights: Tensor = Weights.apply(features[None], kernel)
    degrees = weights.sum(1)
    inverse = torch.where(degrees == 0, 0, 1 / degrees.where(degrees != 0, 1))
    mass = torch.zeros_like(degrees)
    current = normalise(mass)
    for _ in range(max_iterations):
        mass = (weights @ (inverse * current)[:, :, None])[:, :, 0]
        following = normalise(mass)
        moved = (following - current).norm()
        current = following
        if moved < tolerance:
            break
    return finish(mass)[0]


def _stationary(features: Tensor, kernel: Kernel, _: SpnParams, finish: Finish) -> Tensor:
    return stationary_map(features, kernel, finish)


def _power(features: Tensor, kernel: Kernel, params: SpnParams, finish: Finish) -> Tensor:
    return power_map(features, kernel, params.max_iterations, params.tolerance, finish)


SOLVERS = {"stationary": _stationary, "power": _power}


class SoftProposal(nn.Module):
    """Proposal maps M (B, H, W), each >= 0 with sum 1, of features U (B, K, H, W).

    Constant features give the uniform map, whatever is corrected or sharpened. An image with a NaN,
    an infinity, or a difference whose square overflows, gets a map of NaN; the other images keep
    theirs. float16 and bfloat16 features are computed in float32, under autocast too, and give M in
    their own type. By default M is a constant of the backward pass, so that the gradient of
    V = U * M with respect to U is M alone (SPN Eq. 6).
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
        kernel = distance_kernel(height, width, self.epsilon(height, width))
        cells = features.flatten(2).transpose(1, 2)
        finish = partial(self.finish, height=height, width=width)
        with torch.autocast(features.device.type, enabled=False):
            maps = SOLVERS[self.params.solver](cells, kernel, self.params, finish)
        return maps.unflatten(1, (height, width)).to(features.dtype)

    def finish(self, mass: Tensor, height: int, width: int) -> Tensor:
        """Return the maps (B, N) of what a solver gives the cells, corrected and sharpened."""
        if self.params.border_correction:
            mass = mass / kernel_mass(height, width, self.epsilon(height, width)).to(mass)
        if self.params.sharpness != 1:
            mass = sharpen(mass, self.params.sharpness)
        return normalise(mass)

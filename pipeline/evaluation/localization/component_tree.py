"""The component tree of a map: the components of every threshold, found in one pass.

A component of {levels >= t} keeps its pixels while t falls, until it grows or meets another. Such
a component, with the thresholds between which it lives, is a node of the tree (Salembier et al.,
"Antiextensive connected operators", IEEE TIP 1998: the max-tree). Pixels are switched on from the
highest level down and joined by union-find, so that the cost is one pass over sorted pixels and
not a labelling per threshold.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

X0, Y0, X1, Y1, SIZE, FIRST, LOWEST, HIGHEST = range(8)
"""Columns of a node: its tight box, its number of pixels, its first pixel in row-major order, and
the lowest and highest threshold at which it is a component."""

# Rows and columns from a pixel to its neighbours; those that share an edge with it first.
_NEIGHBOURS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1), (-1, -1), (-1, 1), (1, 1), (1, -1)])


def component_tree(levels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return every 8-connected component of {levels >= t}, for all t from 0 to the highest level.

    Args:
        levels: a non-empty (H, W) map of whole numbers from 0; counting them takes memory in
            proportion to the highest.

    Returns:
        (n, 8) nodes with the columns named above, n <= H x W. The components at threshold t are the
        nodes with LOWEST <= t <= HIGHEST; at 0 that is one node, the whole map.
    """
    nodes: NDArray[np.int32] = _sweep(np.ascontiguousarray(levels, np.int32))
    return nodes


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def strongest_nodes(
    nodes: NDArray[np.int32], strengths: NDArray[np.float64], thresholds: int
) -> NDArray[np.int64]:
    """Return the index of the strongest component at each threshold 0, 1, ..., (thresholds,).

    Args:
        nodes: (n, 8), from `component_tree`.
        strengths: (n,) numbers above -inf; of equal ones the node of the lower index wins.
        thresholds: more than the highest level. Those above it repeat its answer.
    """
    strongest = np.zeros(thresholds, np.int64)
    strength = np.full(thresholds, -np.inf)
    top = 0
    for node in range(len(nodes)):
        top = max(top, nodes[node, HIGHEST])
        for threshold in range(nodes[node, LOWEST], nodes[node, HIGHEST] + 1):
            if strengths[node] > strength[threshold]:
                strongest[threshold], strength[threshold] = node, strengths[node]
    strongest[top:] = strongest[top]
    return strongest


def _representatives() -> NDArray[np.uint8]:
    """Return for each set of neighbours the few that must be looked up: their number, then them.

    A set is 8 bits in the order of _NEIGHBOURS. Neighbours that touch are in one component already,
    so one that touches an earlier one of the set is left out.
    """
    chosen = np.zeros((256, 5), np.uint8)
    touching = np.abs(_NEIGHBOURS[:, None] - _NEIGHBOURS).max(axis=-1) == 1
    for members in range(256):
        on = np.array([members >> neighbour & 1 for neighbour in range(8)], bool)
        own = [k for k in np.flatnonzero(on) if not (on & touching[k])[:k].any()]
        chosen[members, 0] = len(own)
        chosen[members, 1 : 1 + len(own)] = own
    return chosen


_REPRESENTATIVES = _representatives()


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sweep(levels: NDArray[np.int32]) -> NDArray[np.int32]:
    height, width = levels.shape
    # A frame of pixels that stay off spares every test for the edge of the map. Indices are
    # unsigned: Numba then leaves out its tests for negative ones, a third of the time.
    order, ends = _falling_order(levels)
    around = (_NEIGHBOURS[:, 0] * (width + 2) + _NEIGHBOURS[:, 1]).astype(np.uint64)
    stride = np.uint64(width + 2)
    on = np.zeros((height + 2) * (width + 2), np.uint8)
    parent = np.empty(on.size, np.uint32)
    # Components that still grow, in the rows of their roots; other rows are never read.
    parts = np.empty((on.size, 8), np.int32)
    nodes = np.empty((levels.size, 8), np.int32)
    count = start = 0
    for level in range(ends.size - 1, -1, -1):
        for pixel in order[start : ends[level]]:
            y, x = int(pixel // stride) - 1, int(pixel % stride) - 1
            members = 0
            for k in range(8):
                members |= on[pixel + around[k]] << k
            on[pixel] = 1
            if members == 0:
                parent[pixel] = pixel
                parts[pixel, X0], parts[pixel, Y0] = x, y
                parts[pixel, X1], parts[pixel, Y1] = x + 1, y + 1
                parts[pixel, SIZE], parts[pixel, FIRST] = 1, y * width + x
                parts[pixel, HIGHEST] = level
                continue
            root = _root(parent, pixel + around[_REPRESENTATIVES[members, 1]])
            parent[pixel] = root
            if parts[root, HIGHEST] > level:
                count = _end_node(nodes, count, parts, root, level)
            _extend(parts, root, (x, y, x + 1, y + 1, 1, y * width + x))
            for k in range(1, _REPRESENTATIVES[members, 0]):
                other = _root(parent, pixel + around[_REPRESENTATIVES[members, k + 1]])
                if other != root:
                    if parts[other, HIGHEST] > level:
                        count = _end_node(nodes, count, parts, other, level)
                    root = _join(parent, parts, root, other)
        start = ends[level]
    count = _end_node(nodes, count, parts, _root(parent, order[0]), -1)
    return nodes[:count]


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _falling_order(
    levels: NDArray[np.int32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Counting sort: framed pixels from the highest level to 0, and where each level's run ends."""
    ends = np.zeros(levels.max() + 1, np.int64)
    for value in levels.flat:
        ends[value] += 1
    start = 0
    for level in range(ends.size - 1, -1, -1):
        start, ends[level] = start + ends[level], start
    order = np.empty(levels.size, np.uint32)
    for y in range(levels.shape[0]):
        for x in range(levels.shape[1]):
            order[ends[levels[y, x]]] = (y + 1) * (levels.shape[1] + 2) + x + 1
            ends[levels[y, x]] += 1
    return order, ends


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _root(parent: NDArray[np.uint32], pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _end_node(
    nodes: NDArray[np.int32], count: int, parts: NDArray[np.int32], root: int, level: int
) -> int:
    """Write down the component as it was above `level`, where it changes; return the new count."""
    for column in range(8):
        nodes[count, column] = parts[root, column]
    nodes[count, LOWEST] = level + 1
    parts[root, HIGHEST] = level
    return count + 1


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _join(parent: NDArray[np.uint32], parts: NDArray[np.int32], a: int, b: int) -> int:
    """Merge the components with the different roots `a` and `b`, return the root of the larger."""
    if parts[a, SIZE] < parts[b, SIZE]:
        a, b = b, a
    parent[b] = a
    box = parts[b, X0], parts[b, Y0], parts[b, X1], parts[b, Y1]
    _extend(parts, a, (*box, parts[b, SIZE], parts[b, FIRST]))
    return a


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _extend(parts: NDArray[np.int32], root: int, other: tuple[int, ...]) -> None:
    """Add the pixels of `other`, columns X0 to FIRST of a node, to the component of `root`."""
    parts[root, X0] = min(parts[root, X0], other[X0])
    parts[root, Y0] = min(parts[root, Y0], other[Y0])
    parts[root, X1] = max(parts[root, X1], other[X1])
    parts[root, Y1] = max(parts[root, Y1], other[Y1])
    parts[root, SIZE] += other[SIZE]
    parts[root, FIRST] = min(parts[root, FIRST], other[FIRST])

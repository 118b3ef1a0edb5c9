"""The nodes of the component tree are the components of all thresholds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.evaluation.localization.component_tree import (
    HIGHEST,
    LOWEST,
    component_tree,
    strongest_nodes,
)
from tests.evaluation.localization.labelling import components

SIDES = st.integers(1, 9)
LEVEL_MAPS = hnp.arrays(np.int32, st.tuples(SIDES, SIDES), elements=st.integers(0, 6))


@settings(max_examples=100, deadline=None)
@given(LEVEL_MAPS)
def test_nodes_that_live_at_a_threshold_are_its_components(levels):
    nodes = component_tree(levels)
    for threshold in range(levels.max() + 1):
        alive = nodes[(nodes[:, LOWEST] <= threshold) & (threshold <= nodes[:, HIGHEST])]
        expected = np.column_stack(components(levels >= threshold))
        np.testing.assert_array_equal(alive[np.lexsort(alive[:, 5::-1].T), :6], sort(expected))


def sort(rows):
    return rows[np.lexsort(rows[:, ::-1].T)]


@settings(max_examples=50, deadline=None)
@given(LEVEL_MAPS)
def test_a_node_ends_where_it_grows_so_no_two_are_alike(levels):
    nodes = component_tree(levels)
    assert len(np.unique(nodes[:, :6], axis=0)) == len(nodes) <= levels.size
    assert nodes[:, LOWEST].min() == 0
    assert nodes[:, HIGHEST].max() == levels.max()


def test_two_peaks_and_their_meeting_are_three_nodes():
    nodes = component_tree(np.array([[5, 2, 2, 7]]))
    expected = [[0, 0, 1, 1, 1, 0, 3, 5], [3, 0, 4, 1, 1, 3, 3, 7], [0, 0, 4, 1, 4, 0, 0, 2]]
    np.testing.assert_array_equal(sort(nodes), sort(np.array(expected)))


def test_strongest_of_equal_nodes_is_the_first_and_the_top_is_repeated():
    nodes = component_tree(np.array([[5, 2, 2, 7]]))
    low, high = sorted(range(2), key=lambda node: nodes[node, HIGHEST])
    strengths = np.zeros(3)
    chosen = strongest_nodes(nodes, strengths, 10)
    np.testing.assert_array_equal(chosen, [2] * 3 + [min(low, high)] * 3 + [high] * 4)
    strengths[low] = -1
    np.testing.assert_array_equal(strongest_nodes(nodes, strengths, 10)[3:], [high] * 7)

"""What is better, what is worse, and what the images do not tell."""

import pytest

from pipeline.reporting.page.curves import HEIGHT, LEFT, WIDTH, chart
from pipeline.reporting.page.deltas import gains, measured_table, verdict
from pipeline.reporting.tables import fill
from pipeline.reporting.twins import compare_twins


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "found"),
    [
        (0.1, 2, False, "better"),
        (0.1, 2, True, "worse"),
        (-2, -0.1, True, "better"),
        (-2, -0.1, False, "worse"),
        (-1, 1, True, "open"),
        (0, 1, False, "open"),
    ],
)
def test_an_interval_that_holds_0_says_nothing(low, high, lower_is_better, found):
    assert verdict(low, high, lower_is_better) == found


def row_of(filled, differences, name):
    table = measured_table(filled, differences)
    (row,) = (row for row in table.rows if row.name == name)
    return dict(zip(table.metrics, row.entries, strict=True))


def test_an_entry_has_its_gain_over_the_twin_and_none_over_a_paper_on_other_data(
    scores, differences
):
    (table,) = (own for own in fill(scores) if own.table.id == "spg-4")
    entry = row_of(table, differences, "SPG")["GT-known error"]
    assert (round(entry.twin.value, 1), entry.twin.verdict, entry.paper) == (-4.4, "better", None)
    assert row_of(table, differences, "SPG-plain")["GT-known error"].twin is None


def test_on_the_papers_data_a_figure_is_told_apart_from_the_papers(on_voc2007, differences):
    (table,) = (own for own in fill(on_voc2007) if own.table.id == "spn-2")
    entry = row_of(table, differences, "SPN")["all"]
    assert entry.paper.value == entry.cell.delta
    inside = entry.cell.low <= entry.cell.paper <= entry.cell.high
    assert entry.paper.verdict == ("open" if inside else "worse")


def test_what_all_rows_share_is_told_once(scores, differences):
    (table,) = (own for own in fill(scores) if own.table.id == "spg-4")
    found = measured_table(table, differences)
    assert ("data set", "cutouts_single") in found.common
    assert all(len(row.origin) == len(found.origin) for row in found.rows)


def test_gains_point_to_the_right_where_a_lower_error_is_better(scores, differences):
    papers, others = gains(compare_twins(scores, differences))
    assert {gain.difference.model for gain in papers} == {"spn_multi", "spn_single", "spg"}
    assert others == []
    for gain in papers:
        low, value, high = sorted(gain.bar)
        assert low >= -1 and value == gain.bar[1] and high <= 1
        sides = {"better": low > 0, "worse": high < 0, "open": low <= 0 <= high}
        assert sides[gain.verdict]


def test_a_chart_fills_its_axes():
    found = chart("two", {"a": ([1, 2, 3], [2.2, 1, 0.5]), "b": ([1, 2, 3], [2, 1, 1])})
    (x0, y0, *_), *_, (x1, y1, *_) = found.lines[0].points
    assert x0 == LEFT and LEFT < x1 < WIDTH
    assert 0 < y0 < y1 < HEIGHT
    assert [text for _, text in found.x_ticks] == ["1", "2", "3"]
    assert [text for _, text in found.y_ticks] == ["0", "1", "2", "3"]


def test_a_chart_of_one_epoch_or_of_loss_0_can_be_drawn():
    assert chart("one", {"a": ([1], [0.0])}).lines[0].path
    assert chart("none", {"a": ([], [])}).lines[0].path == ""

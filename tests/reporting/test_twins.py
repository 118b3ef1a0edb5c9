import csv

import pytest

from pipeline.errors import InputError
from pipeline.reporting.catalogue import TWINS
from pipeline.reporting.twins import (
    COMPARISONS,
    compare_twins,
    twins_grid,
    twins_metrics,
    write_twins,
)


@pytest.fixture
def found(scores, differences):
    return compare_twins(scores, differences)


def test_a_difference_stands_beside_the_two_scores_that_it_is_of(found):
    assert len(found) == len(COMPARISONS)
    for each in found:
        assert each.value == pytest.approx(each.method - each.twin, abs=0.011)
        assert each.low < each.value < each.high
        assert each.dataset.startswith("cutouts_")


def test_the_number_of_what_was_judged_is_told(found):
    counts = {each.compared.figure: each.n for each in found}
    assert counts["Pointing, all ↑"] > counts["Pointing, difficult ↑"]
    assert counts["CorLoc ↑"] > counts["GT-known error ↓"] == 300


def test_signs_are_shown(found):
    lines = [line[:4] for line in twins_grid(found).rows]
    assert ("GT-known error ↓", "SPG-plain 42.3", "SPG 37.9", "−4.4 [−6.4, −2.4]") in lines
    assert lines[0][1].startswith("CAM ") and lines[0][2].startswith("SPN ")


def test_the_files_hold_the_same(found, tmp_path):
    write_twins(found, tmp_path)
    with (tmp_path / "twins.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [each.value for each in found]
    assert {row["model"]: row["twin"] for row in rows} == TWINS
    assert (tmp_path / "twins.md").read_text().count("\n| ") == len(found) + 2


def test_metrics_have_a_short_key_for_each(found):
    nested = twins_metrics(found)["differences"]
    spg = nested["cutouts_single"]["tf_efficientnet_lite0"]["spg"]
    assert set(spg) == {"gt_known_error", "top_1_localization_error", "top_1_classification_error"}
    assert spg["gt_known_error"]["low"] == pytest.approx(-6.4, abs=0.05)
    networks = [network for data in nested.values() for network in data.values()]
    models = [own for network in networks for own in network.values()]
    assert sum(map(len, models)) == len(COMPARISONS)


def test_a_missing_difference_is_named_with_the_remedy(scores, differences):
    del differences["spg"]["gt_known_error"]
    with pytest.raises(InputError, match=r"spg: no `gt_known_error`; run .*evaluate\*"):
        compare_twins(scores, differences)

import csv

import pytest

from pipeline.errors import InputError
from pipeline.reporting.twins import PAPERS, compare_twins, twins_grid, write_twins
from tests.reporting.conftest import invented_differences


@pytest.fixture
def found(scores, differences):
    return compare_twins(scores, differences)


def test_a_difference_stands_beside_the_two_scores_that_it_is_of(found):
    assert len(found) == sum(map(len, PAPERS.values())) == 10
    for each in found:
        assert each.value == pytest.approx(each.method - each.twin, abs=0.011)
        assert each.low < each.value < each.high
        assert each.dataset.startswith("cutouts_")


def test_the_number_of_what_was_judged_is_told(found):
    counts = {each.figure.name: each.n for each in found}
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
    assert {row["model"]: row["twin"] for row in rows} == {
        "spn_multi": "cam_multi",
        "spn_single": "cam_single",
        "spg": "spg_plain",
    }
    assert (tmp_path / "twins.md").read_text().count("\n| ") == len(found) + 2


def test_a_method_with_a_twin_follows_the_papers_own_models(scores):
    differences = invented_differences(scores, [*PAPERS, "has"])
    lines = [line[:3] for line in twins_grid(compare_twins(scores, differences)).rows]
    assert [line[0] for line in lines[10:]] == [
        "GT-known error ↓",
        "Top-1 localization error ↓",
        "Top-1 classification error ↓",
    ]
    assert lines[10][1].startswith("CAM ") and lines[10][2].startswith("HaS ")


def test_boxes_from_other_maps_are_compared_with_spg_plains(scores):
    models = ["spg:attention+b", "spg_plain:attention+gaussian"]
    differences = invented_differences(scores, [*PAPERS, *models])
    lines = [line[:4] for line in twins_grid(compare_twins(scores, differences)).rows[10:]]
    assert [line[0] for line in lines] == ["GT-known error ↓", "Top-1 localization error ↓"] * 2
    assert lines[0] == (
        "GT-known error ↓",
        "SPG-plain 42.3",
        "SPG, boxes from attention + guidance 25.9",
        "−16.4 [−18.4, −14.4]",
    )
    assert lines[2][2] == "control: SPG-plain, boxes from attention + centred Gaussian 40.9"


def test_a_missing_difference_is_named_with_the_remedy(scores, differences):
    del differences["spg"]["gt_known_error"]
    with pytest.raises(InputError, match=r"spg: no `gt_known_error`; run .*evaluate\*"):
        compare_twins(scores, differences)


def test_without_boxes_twins_are_compared_by_their_classes_alone(scores, differences):
    for own in (*scores.values(), *differences.values()):
        for key in ("pointing", "pointing_with_prediction_map", "cor_loc", "mean_box_error"):
            own.pop(key, None)
        for key in ("gt_known_error", "top1_localization_error"):
            own.pop(key, None)
    for own in scores.values():
        own["n"] |= {"test_boxed": 0, "pointing_all": 0, "pointing_difficult": 0}
    lines = twins_grid(compare_twins(scores, differences)).rows
    known = {line[0] for line in lines if line[3] != "no boxes"}
    assert known == {"Classification mAP ↑", "Top-1 classification error ↓"}
    assert ("GT-known error ↓", "SPG-plain", "SPG", "no boxes", "0") in {line[:5] for line in lines}

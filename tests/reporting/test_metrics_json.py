import pytest

from pipeline.errors import InputError
from pipeline.reporting.metrics_json import HEADLINES, LIMIT, metrics

FURTHER = ("has", "acol", "oquab", "wsddn", "rpn", "selective_search", "edge_boxes")


def test_a_run_without_further_methods_has_sixteen_headlines(scores):
    found = metrics(scores, [])
    assert list(found) == list(HEADLINES)
    assert len(found) == 16
    assert found["spn_table2_pointing_all"] == 75.5
    assert found["spg_plain_table4_gt_known_error"] == 42.3
    assert found["spn_table4_corloc"] == round(scores["spn_multi"]["cor_loc"]["mean"]["value"], 1)


def test_values_are_percent_with_one_decimal(scores):
    scores["spg"]["gt_known_error"] = {"value": 37.96, "low": 35.0, "high": 40.0}
    assert metrics(scores, [])["spg_table4_gt_known_error"] == 38.0


def test_each_further_method_adds_the_figure_of_its_own_table(scores):
    found = metrics(scores, FURTHER)
    assert list(found)[16:] == [
        "has_table4_gt_known_error",
        "acol_table4_gt_known_error",
        "oquab_table3_map",
        "wsddn_table4_corloc",
        "rpn_table1_object_energy",
        "selective_search_table1_object_energy",
        "edge_boxes_table1_object_energy",
    ]
    assert found["has_table4_gt_known_error"] == round(scores["has"]["gt_known_error"]["value"], 1)


def test_recommended_boxes_of_spg_from_its_guidance_add_a_headline(scores):
    scores["spg:guidance"] = scores["spg:attention+b"]
    found = metrics(scores, ["has"])
    assert list(found)[16:] == ["spg_guidance_table4_gt_known_error", "has_table4_gt_known_error"]
    assert found["spg_guidance_table4_gt_known_error"] == 25.9


def test_a_new_method_needs_no_line_here(scores):
    assert "adl_table4_gt_known_error" in metrics(scores | {"adl": scores["has"]}, ["adl"])


def test_there_are_never_more_than_fit_a_screen(scores):
    more = [f"method_{i}" for i in range(30)]
    found = metrics(scores | {name: scores["has"] for name in more}, more)
    assert len(found) == LIMIT == 24
    assert list(found)[:16] == list(HEADLINES)


def test_a_missing_score_is_named_with_the_remedy(scores):
    del scores["spg"]["gt_known_error"]
    with pytest.raises(InputError, match=r"spg: no `gt_known_error`; run .*evaluate"):
        metrics(scores, [])


def test_headlines_that_need_boxes_are_left_out_without_them(scores):
    for own in scores.values():
        own["n"] |= {"test_boxed": 0}
    del scores["spg"]["gt_known_error"]
    assert "spg_table4_gt_known_error" not in metrics(scores, [])

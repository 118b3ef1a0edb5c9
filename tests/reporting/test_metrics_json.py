import math

import pytest

from pipeline.reporting.metrics_json import key_of, metrics
from pipeline.reporting.tables import fill


def leaves(nested, path=()):
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def test_every_leaf_is_a_finite_number_of_a_known_name(scores, on_voc2007):
    for measured in (scores, on_voc2007):
        found = dict(leaves(metrics(fill(measured))))
        assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
        assert {path[-1] for path in found} <= {"value", "low", "high", "paper", "delta"}


def test_every_measured_cell_has_its_own_place(scores):
    tables = fill(scores)
    values = [path for path, _ in leaves(metrics(tables)) if path[-1] == "value"]
    assert len(values) == sum(len(filled.measured) for filled in tables)


def test_keys_lead_from_paper_to_metric(scores, on_voc2007):
    pointing = metrics(fill(scores))["spn"]["table2"]["cutouts_multi"]["tf_efficientnet_lite0"]
    assert pointing["spn"]["all"] == {"value": 75.5, "low": 73.0, "high": 77.5}
    measured = metrics(fill(on_voc2007))
    on_paper_data = measured["spn"]["table2"]["voc2007"]["vgg16"]["spn"]["all"]
    assert on_paper_data == {
        "value": 75.5,
        "low": 73.0,
        "high": 77.5,
        "paper": 87.5,
        "delta": -12.0,
    }
    localization = measured["spg"]["table1"]["cutouts_single"]["tf_efficientnet_lite0"]
    starred = localization["spg_star"]["top_5_error"]
    assert (starred["value"], starred["paper"]) == (36.1, 35.05)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("SPG*", "spg_star"),
        ("GT-known error", "gt_known_error"),
        ("VOC-style photographs (5 classes, 1453 images)", "voc_style_photographs"),
    ],
)
def test_keys_are_short_snake_case(name, key):
    assert key_of(name) == key


def test_two_cells_with_one_key_are_refused(scores):
    scores["spn_multi"]["cor_loc"]["per_class"] = {
        name: {"value": 1.0, "low": 0.0, "high": 2.0} for name in ("Bird", "bird")
    }
    with pytest.raises(ValueError, match="two cells for spn.table4"):
        metrics(fill(scores))

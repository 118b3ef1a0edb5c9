import csv
import json
import re
from copy import deepcopy

import pytest

from pipeline.errors import InputError
from pipeline.reporting.catalogue import SWITCHES, TABLES
from pipeline.reporting.published import of_table
from pipeline.reporting.tables import (
    fill,
    fill_table,
    markdown,
    measured_grid,
    published_grid,
    read_differences,
    read_scores,
    write_tables,
)

DECLARED = sorted({(m.model, m.key) for t in TABLES for m in t.measured if not m.optional})


def cells(scores, table):
    """(row, column) -> measured cell of one table."""
    filled = next(filled for filled in fill(scores) if filled.table.id == table)
    return {(cell.row, cell.column): cell for cell in filled.measured}


def lines_of(folder, table):
    return list(csv.DictReader((folder / f"{table}.csv").read_text().splitlines()))


def test_the_ten_tables_of_the_two_papers():
    papers = {"spn": 6, "spg": 4}
    assert [t.id for t in TABLES] == [f"{p}-{i + 1}" for p, n in papers.items() for i in range(n)]


def test_scores_reach_their_cells(scores):
    assert cells(scores, "spn-1")["SPN", "Object Energy"].value == 52.3
    assert cells(scores, "spn-1")["control: uniform map", "Object Energy"].value == 31.2
    pointing = cells(scores, "spn-2")
    assert pointing["SPN", "tf_efficientnet_lite0 difficult"].value == 64.2
    assert pointing["SPN", "tf_efficientnet_lite0 difficult"].n == 120
    assert pointing["Center", "tf_efficientnet_lite0 all"].value == 38.6
    assert cells(scores, "spn-3")["CAM", "mAP"].value == 66.3
    assert cells(scores, "spn-4")["SPN", "bird"].value == 39.1
    assert cells(scores, "spn-5")["SPN", "error"].value == 46.8
    assert cells(scores, "spn-6")["CAM", "top-1 error"].value == 15.67
    assert cells(scores, "spn-6")["SPN", "mAP"].dataset == "cutouts_multi"
    assert cells(scores, "spg-1")["SPG*", "top-5 error"].value == 36.1
    assert cells(scores, "spg-4")["SPG-plain", "GT-known error"].value == 42.33


@pytest.mark.parametrize(("model", "key"), DECLARED)
def test_a_missing_score_is_an_error_that_names_it(scores, model, key):
    model = {"spg+*": "spg+resnet50", "spg*:*": "spg:b2"}.get(model, model)
    *path, last = key.split(".")
    level = scores[model]
    for part in path:
        level = level[part]
    del level[last]
    with pytest.raises(InputError, match=f"{re.escape(model)}.*`{key}`.*dvc repro"):
        fill(scores)


def test_scores_that_only_some_data_have_may_be_missing(scores):
    assert ("SPG", "PxAP") not in cells(scores, "spg-4")
    scores["spg"]["px_ap"] = {"value": 61.0, "low": 58.0, "high": 64.0}
    assert cells(scores, "spg-4")["SPG", "PxAP"].value == 61.0


def test_the_oracles_boxes_stand_in_a_row_of_their_own(scores, on_voc2007):
    oracle = scores["spn_multi"]["cor_loc_oracle"]["mean"]["value"]
    measured = cells(on_voc2007, "spn-4")["SPN, oracle", "mean"]
    assert (measured.value, measured.paper) == (oracle, 60.6)
    del scores["spn_multi"]["cor_loc_oracle"]
    assert ("SPN, oracle", "mean") not in cells(scores, "spn-4")
    assert ("SPN", "mean") in cells(scores, "spn-4")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "12", None, True])
@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_a_score_that_is_no_finite_number_is_an_error(scores, part, bad):
    scores["spn_multi"]["cor_loc"]["per_class"]["bird"][part] = bad
    with pytest.raises(InputError, match="cor_loc.per_class.bird"):
        fill(scores)


def test_other_data_has_no_delta(scores):
    measured = [cell for filled in fill(scores) for cell in filled.measured]
    assert any(cell.paper is not None for cell in measured)
    assert all(cell.delta is None for cell in measured)


def test_delta_is_the_difference_to_the_paper_on_its_data(on_voc2007):
    pointing = cells(on_voc2007, "spn-2")
    assert pointing["SPN", "VGG16 all"].delta == pytest.approx(75.5 - 87.5)
    assert pointing["Center", "VGG16 difficult"].delta == pytest.approx(25.2 - 42.6)
    assert cells(on_voc2007, "spn-4")["SPN", "bird"].delta == pytest.approx(39.1 - 67.0)
    prediction = cells(on_voc2007, "spn-3")["SPN", "mAP"]
    assert (prediction.paper, prediction.delta) == (82.9, None)  # printed for VOC2012


def test_a_network_that_the_paper_has_no_column_for_is_not_compared(on_voc2007):
    lite = {model: found | {"backbone": "lite"} for model, found in on_voc2007.items()}
    pointing = cells(lite, "spn-2")
    assert pointing["SPN", "lite all"].paper is None
    assert pointing["Center", "lite all"].delta == pytest.approx(38.6 - 69.5)


def test_single_label_data_stands_in_both_tables_beside_its_own_papers_figures(scores, on_cub):
    for table in ("spg-1", "spg-2"):
        assert cells(scores, table)["SPG", "top-1 error"].delta is None
    assert cells(on_cub, "spg-1")["SPG", "top-1 error"].delta is None
    assert cells(on_cub, "spg-2")["SPG", "top-1 error"].delta == pytest.approx(45.27 - 53.36)


def test_a_part_of_cub_stands_in_table_2_without_a_delta(on_cub):
    part = "CUB-200-2011 subset (10 classes, 543 images)"
    on_part = deepcopy(on_cub)
    for own in on_part.values():
        own["dataset"] = own["dataset"].replace("CUB-200-2011", part)
    assert {cell.delta for cell in cells(on_part, "spg-2").values()} == {None}


def test_csv_has_the_agreed_columns_and_every_published_figure(scores, tmp_path):
    write_tables(fill(scores), tmp_path)
    for table in TABLES:
        head, *_ = (tmp_path / f"{table.id}.csv").read_text().splitlines()
        assert head == "table,row,column,dataset,value,low,high,n,published,delta,source"
        lines = lines_of(tmp_path, table.id)
        assert {line["table"] for line in lines} == {table.id}
        published = [line for line in lines if line["source"] == "published"]
        assert [line["value"] for line in published] == [f.printed for f in of_table(table.id)]


def test_a_csv_line_of_a_measured_figure(on_voc2007, tmp_path):
    write_tables(fill(on_voc2007), tmp_path)
    line = next(x for x in lines_of(tmp_path, "spn-2") if x["row"] == "SPN")
    assert line == {
        "table": "spn-2",
        "row": "SPN",
        "column": "VGG16 all",
        "dataset": "VOC2007",
        "value": "75.5",
        "low": "73.0",
        "high": "77.5",
        "n": "512",
        "published": "87.5",
        "delta": "-12.0",
        "source": "measured",
    }


def test_the_measured_block_names_data_seed_and_n_beside_each_figure(scores):
    grid = measured_grid(next(f for f in fill(scores) if f.table.id == "spn-2"))
    assert dict(zip(grid.head, grid.rows[-1], strict=True)) == {
        "method": "SPN",
        "all": "75.5 [73.0, 77.5]",
        "difficult": "64.2 [61.7, 66.2]",
        "n": "512 / 120",
        "seed": "0",
        "data set": "cutouts_multi",
        "network": "tf_efficientnet_lite0",
    }


def test_published_rows_tell_whether_they_run_here(scores, on_cub):
    def status(scores, table):
        grid = published_grid(next(f for f in fill(scores) if f.table.id == table))
        return {row[0]: row[-1] for row in grid.rows}

    assert status(scores, "spn-2")["c-MWP"] == "measured above, on other data"
    assert status(scores, "spn-3")["Oquab et al."].startswith("measured above as Global max pool")
    assert status(scores, "spn-3")["Sun et al."] == "published only: another system, not rebuilt"
    assert "spg.with_c=false" in status(scores, "spg-4")["SPG without C (Sec. 4.3)"]
    assert status(scores, "spg-1")["VGGnet-ACoL"] == "measured above as ACoL, on other data"
    assert status(on_cub, "spg-2")["SPG"] == "measured above"
    ranked = status(scores, "spg-3")
    assert ranked["GoogLeNet-SPG-ResNet-50"].startswith(
        "measured above as SPG, ranked by ResNet-50"
    )
    assert ranked["GoogLeNet-SPG-DPN-92"].startswith("not run here: `dvc exp run -S 'ranking")
    without = {model: own for model, own in scores.items() if model not in ("has", "c_mwp_multi")}
    assert "-S 'methods=[has]'" in status(without, "spg-4")["GoogLeNet-HaS"]
    assert status(without, "spn-2")["c-MWP"] == f"not run here: {SWITCHES['saliency']}"


def test_every_published_row_is_beside_a_method_or_says_why_not(scores):
    for filled in fill(scores):
        for row, *_, status in published_grid(filled).rows:
            known = ("measured above", "published only: ", "not run here: `dvc exp run -S 'ranking")
            assert status.startswith(known), (filled.table.id, row)


def test_markdown_puts_measured_before_published_and_ends_with_the_notes(scores):
    text = markdown(next(f for f in fill(scores) if f.table.id == "spn-6"))
    parts = ("How to read:", "## Measured", "## Published", "- The paper")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_tables_with_chosen_thresholds_name_them_and_their_split(scores):
    protocols = {filled.table.id: filled.protocol for filled in fill(scores)}
    assert "spg_plain 0.31 (chosen on val)" in protocols["spg-4"]
    assert protocols["spn-5"] == ""


def test_missing_or_damaged_scores_name_the_stage_to_run(scores, tmp_path):
    files = {model: tmp_path / f"{model}.json" for model in ("spg", "spn_multi")}
    for model, path in files.items():
        path.write_text(json.dumps(scores[model]))
    assert read_scores(files.values()) == {model: scores[model] for model in files}
    files["spg"].write_text("{")
    with pytest.raises(InputError, match=r"spg\.json: not valid JSON.*evaluate"):
        read_scores(files.values())
    files["spg"].unlink()
    with pytest.raises(InputError, match=r"spg\.json: not found.*evaluate"):
        read_scores(files.values())


def test_a_scores_file_may_hold_several_models(scores, tmp_path):
    several = {model: scores[model] for model in ("mwp_multi", "c_mwp_multi")}
    (tmp_path / "saliency_multi.json").write_text(json.dumps(several))
    assert read_scores([tmp_path / "saliency_multi.json"]) == several


def test_differences_rankings_and_sources_share_a_file(scores, differences, tmp_path):
    path, ranking = tmp_path / "compare.json", {"spg+resnet50": scores["spg+resnet50"]}
    sources = {"spg:b2": scores["spg:b2"]}
    content = {"differences": differences, "ranking": ranking, "sources": sources}
    path.write_text(json.dumps(content))
    assert read_scores([path]) == ranking | sources
    assert read_differences(path) == differences
    path.write_text(json.dumps({"ranking": ranking}))
    with pytest.raises(InputError, match=r"compare\.json: no `differences`; run .*compare"):
        read_differences(path)


def rows_of(scores, table, labels):
    filled = fill_table(next(t for t in TABLES if t.id == table), scores, labels)
    return dict.fromkeys(cell.row for cell in filled.measured)


@pytest.mark.parametrize("table", ["spg-1", "spg-2", "spg-4"])
def test_boxes_from_other_maps_have_rows_after_the_papers_own(scores, table):
    found = list(rows_of(scores, table, {}))
    assert found[found.index("SPG") + 1 :][-3:] == [
        "SPG, boxes from attention + guidance",
        "SPG, boxes from B2",
        "control: SPG-plain, boxes from attention + centred Gaussian",
    ]
    filled = fill_table(next(t for t in TABLES if t.id == table), scores)
    assert {cell.delta for cell in filled.measured if cell.row == "SPG, boxes from B2"} == {None}
    assert "spg:b2 0.42 (chosen on val)" in filled.protocol


def test_boxes_from_other_maps_stand_in_no_other_table(scores):
    for table in ("spn-5", "spn-6", "spg-3"):
        assert not [row for row in rows_of(scores, table, {}) if "boxes from" in row]


@pytest.mark.parametrize("table", ["spg-1", "spg-2", "spg-4", "spn-5", "spn-6"])
def test_a_new_single_label_method_has_a_row_before_the_papers_own(scores, table):
    found = list(rows_of(scores | {"adl": scores["has"]}, table, {"adl": "ADL"}))
    assert found.index("ADL") < found.index(table.partition("-")[0].upper())


@pytest.mark.parametrize("table", ["spn-2", "spn-3", "spn-4", "spn-6"])
def test_a_new_multi_label_method_has_a_row_before_the_papers_own(scores, table):
    found = list(rows_of(scores | {"new": scores["cam_multi"]}, table, {"new": "New"}))
    assert found.index("New") < found.index("SPN")


def test_a_new_proposal_map_stands_beside_the_papers_with_its_own_control(scores):
    labels = {"spn_corrected": "SPN, border-corrected"}
    found = list(rows_of(scores | {"spn_corrected": scores["spn_multi"]}, "spn-1", labels))
    assert found.index("SPN, border-corrected") < found.index("SPN")
    assert "control: SPN, border-corrected, on random features" in found
    assert found.count("control: uniform map") == 1


def test_what_is_ours_is_told_apart_from_the_paper():
    for table in TABLES:
        ours = any("border-corrected" in note and "is ours" in note for note in table.notes)
        assert ours == (table.id in ("spn-1", "spn-2", "spn-3", "spn-4"))


def test_a_new_method_stands_only_where_it_has_a_score(scores):
    new = {"adl": scores["has"], "boxes": scores["rpn"]}
    labels = {"adl": "ADL", "boxes": "Boxes"}
    found = [cell.row for filled in fill(scores | new, labels) for cell in filled.measured]
    assert "Boxes" not in found and "" not in found
    assert "ADL" not in rows_of(scores | new, "spn-2", labels)


def test_a_method_with_a_row_of_its_own_has_no_second_one(scores):
    labels = {"has": "HaS", "oquab": "Global max pooling"}
    assert rows_of(scores, "spg-1", labels) == rows_of(scores, "spg-1", {})
    assert rows_of(scores, "spn-3", labels) == rows_of(scores, "spn-3", {})


def test_scores_of_a_method_without_a_label_are_not_shown(scores):
    left = scores | {"adl": scores["has"]}
    assert rows_of(left, "spg-4", {}) == rows_of(scores, "spg-4", {})


def test_the_threshold_of_a_new_method_is_told(scores):
    table = next(t for t in TABLES if t.id == "spg-4")
    new = scores | {"adl": scores["has"] | {"threshold": 0.77}}
    assert "adl 0.77" in fill_table(table, new, {"adl": "ADL"}).protocol
    assert "adl" not in fill_table(table, new).protocol


def test_a_table_is_filled_by_the_models_there_are(scores):
    table = next(table for table in TABLES if table.id == "spg-4")
    filled = fill_table(table, {"spg": scores["spg"]})
    assert [cell.row for cell in filled.measured] == ["SPG"]
    assert "spg_plain" not in filled.protocol
    assert fill_table(table, {}).protocol == ""


def without_boxes(scores):
    """The same scores as if no image had a box: what needs one is not there."""
    kept = ("classification_map", "classification_map_per_class", "top1_classification_error")
    own = ("model", "backbone", "seed", "dataset", "classes", "top5_classification_error", *kept)
    none = {"test_boxed": 0, "trainval_boxed": 0, "pointing_all": 0, "pointing_difficult": 0}
    return {
        model: {key: value for key, value in each.items() if key in own} | {"n": each["n"] | none}
        for model, each in scores.items()
    }


def test_without_boxes_tables_say_so_where_a_value_would_be(scores, tmp_path):
    tables = {filled.table.id: filled for filled in fill(without_boxes(scores))}
    measured = {name: measured_grid(filled) for name, filled in tables.items()}
    assert {row[1] for row in measured["spg-4"].rows} == {"no boxes"}
    assert {row[1] for row in measured["spn-2"].rows} == {"no boxes"}
    assert not any("no boxes" in row for row in measured["spn-6"].rows)
    shown = dict(zip(measured["spg-3"].head, measured["spg-3"].rows[0], strict=True))
    assert shown["top-1 localization error"] == "no boxes"
    assert shown["top-1 classification error"][0].isdigit()
    write_tables(list(tables.values()), tmp_path)
    lines = list(csv.DictReader((tmp_path / "spg-4.csv").read_text().splitlines()))
    own = [line for line in lines if line["source"] == "no boxes"]
    assert own and {line["value"] + line["low"] + line["high"] for line in own} == {""}
    assert "measured" not in {line["source"] for line in lines}


def test_a_figure_of_some_images_counts_those_with_boxes(scores):
    scores["spg"]["n"] |= {"test_boxed": 7}
    cells = {
        cell.metric: cell.n
        for filled in fill(scores)
        for cell in filled.measured
        if cell.row in ("SPG", "SPG, own ranking")
    }
    assert cells["GT-known error"] == cells["top-1 localization error"] == 7
    assert cells["top-1 classification error"] == scores["spg"]["n"]["test"]


def test_a_subset_without_images_has_no_value(scores):
    for model in ("spn_multi", "cam_multi"):
        scores[model]["n"]["pointing_difficult"] = 0
        for block in ("pointing", "center_pointing"):
            scores[model].get(block, {}).pop("difficult", None)
    (filled,) = (each for each in fill(scores) if each.table.id == "spn-2")
    row = next(row for row in measured_grid(filled).rows if row[0] == "SPN")
    assert row[2] == "no such images" and row[1][0].isdigit()

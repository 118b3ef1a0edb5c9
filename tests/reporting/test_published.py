import pytest

from pipeline.reporting.published import counterpart, of_table, published


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("spn-1", 8),
        ("spn-2", 2 * (3 * 6 + 2 + 1)),
        ("spn-3", 8),
        ("spn-4", 6 * 21),
        ("spn-5", 5),
        ("spn-6", 8),
        ("spg-1", 2 * 11 - 1),
        ("spg-2", 2 * 5 - 1),
        ("spg-3", 8 * 4),
        ("spg-4", 12 + 3),
    ],
)
def test_every_figure_of_the_ten_tables_is_there_once(table, figures):
    places = [(f.row, f.column, f.dataset) for f in of_table(table)]
    assert len(places) == len(set(places)) == figures


@pytest.mark.parametrize(
    ("table", "row", "column", "dataset", "printed"),
    [
        ("spn-1", "SPN", "Object Energy", "VOC2007", "62.2"),
        ("spn-1", "RPN (supervised)", "time (ms)", "VOC2007", "10.5"),
        ("spn-2", "SPN", "VGG16 difficult", "VOC2007", "78.1"),
        ("spn-2", "CAM", "GoogLeNet all", "VOC2007", "80.8"),
        ("spn-3", "SPN", "mAP", "COCO2014", "55.3"),
        ("spn-4", "ContextLoc", "chair", "VOC2007", "8.6"),
        ("spn-4", "SP-VGGNet", "tvmonitor", "VOC2007", "30.5"),
        ("spn-5", "SPN", "error", "ILSVRC", "36.3"),
        ("spn-6", "SP-GoogLeNetGAP", "mAP", "VOC2007", "84.2"),
        ("spg-1", "GoogLeNet-ACoL", "top-5 error", "ILSVRC", "42.58"),
        ("spg-1", "SPG*", "top-5 error", "ILSVRC", "35.05"),
        ("spg-2", "SPG", "top-1 error", "CUB-200-2011", "53.36"),
        ("spg-3", "GoogLeNet-SPG-DPN-ensemble*", "top-5 localization error", "ILSVRC", "29.36"),
        ("spg-4", "SPG without C (Sec. 4.3)", "GT-known error", "ILSVRC", "36.06"),
    ],
)
def test_figures_are_those_of_the_papers(table, row, column, dataset, printed):
    found = counterpart(of_table(table), row, column, dataset)
    assert found is not None
    assert (found.printed, found.dataset) == (printed, dataset)


def test_mean_cor_loc_is_the_mean_over_classes_save_for_the_row_the_paper_misprints():
    off = set()
    for row in {figure.row for figure in of_table("spn-4")}:
        values = {f.column: f.value for f in of_table("spn-4") if f.row == row}
        mean = values.pop("mean")
        if abs(sum(values.values()) / 20 - mean) > 0.051:
            off.add(row)
    assert off == {"Wang et al."}


def test_all_figures_but_the_times_are_percentages():
    assert all(0 < f.value < 100 for f in published() if f.column != "time (ms)")


def test_a_method_with_two_papers_data_sets_is_compared_on_the_measured_one():
    figures = of_table("spn-3")
    on_coco = counterpart(figures, "SPN", "mAP", "COCO2014")
    elsewhere = counterpart(figures, "SPN", "mAP", "cutouts_multi")
    assert on_coco is not None and on_coco.value == 55.3
    assert elsewhere is not None and elsewhere.dataset == "VOC2012"
    assert counterpart(figures, "CAM", "mAP", "VOC2012") is None

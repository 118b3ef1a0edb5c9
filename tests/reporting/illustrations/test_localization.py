import numpy as np
import pytest

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.packed.proposals import Proposals
from pipeline.reporting.examples import Panels
from pipeline.reporting.illustrations import localization

CLASSES = ("bird", "fish")


@pytest.fixture
def drawn(monkeypatch):
    """What would have been drawn: rows of panels."""
    found = {}

    def draw(path, columns, rows):
        found.update(columns=list(columns), rows=rows)
        return path

    monkeypatch.setattr(localization, "draw_examples", draw)
    return found


@pytest.fixture
def record(picture):
    return picture("a", [[0, 0, 20, 20], [30, 0, 40, 20]], [0, 1])


def answer(columns):
    """Class 0 responds in column 0 of 4, class 1 where `columns` say."""
    maps = np.zeros((2, 1, 4), np.float32)
    maps[0, 0, 0], maps[1, 0, columns] = 1, 1
    return {"a": Prediction("a", "test", np.zeros(2, np.float32), np.arange(2), maps)}


def notes(panels):
    return [panel.note for panel in panels]


def test_points_of_each_class_hit_or_miss(record, drawn, params, tmp_path):
    networks = {"CAM": answer([0]), "SPN": answer([3])}
    rule = params.evaluate.model_copy(update={"pointing_tolerance": 2})
    records = {0: record, 1: record}
    localization.pointing(tmp_path / "a.jpg", records, networks, CLASSES, Panels(False), rule)
    assert drawn["columns"] == ["bird", "fish"]
    assert notes(drawn["rows"]["CAM response"]) == ["hit", "miss"]
    assert notes(drawn["rows"]["SPN response"]) == ["hit", "hit"]
    (point,) = drawn["rows"]["SPN response"][1].points
    assert point.hit and 30 <= point.x < 40


def test_boxes_are_judged_by_those_of_their_own_class(record, drawn, tmp_path):
    boxes = np.array([[0, 0, 40, 20], [30, 0, 40, 10]], np.float32)
    detectors = {"WSDDN": {"a": Proposals("a", "test", boxes, np.ones(2, np.float32))}}
    networks, records = {"SPN": answer([3])}, {0: record, 1: record}
    where = tmp_path / "a.jpg"
    found = localization.boxes(where, records, networks, detectors, CLASSES, Panels(False))
    assert notes(drawn["rows"]["WSDDN"]) == ["IoU 50 %", "IoU 50 %"]
    spn = drawn["rows"]["SPN response"][1]
    assert spn.predicted_xyxy.tolist() == [[27, 0, 40, 20]] and spn.note == "IoU 77 %"
    assert found.alt == "Test pictures with true boxes and those of WSDDN, SPN."


def test_no_threshold_no_box(record, drawn, tmp_path):
    networks = {"SPG-plain": (answer([3]), 0.9), "SPG": (answer([3]), None)}
    localization.attention(tmp_path / "a.jpg", {1: record}, networks, CLASSES, Panels(False))
    (plain,), (spg,) = (drawn["rows"][f"{name} attention"] for name in networks)
    assert len(plain.predicted_xyxy) == 1 and plain.note.startswith("IoU")
    assert len(spg.predicted_xyxy) == 0 and spg.note == ""


@pytest.mark.parametrize("draw", ["pointing", "boxes"])
def test_without_a_picture_the_reason_stands_there(draw, params, tmp_path):
    last = {"pointing": (params.evaluate,), "boxes": ()}[draw]
    given = {"pointing": ({},), "boxes": ({}, {})}[draw]
    make = getattr(localization, draw)
    found = make(tmp_path / "a.jpg", {}, *given, CLASSES, Panels(False), *last)
    assert found.path is None and found.caption.endswith(".")
    assert list(tmp_path.iterdir()) == []

import numpy as np

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.reporting.examples import Panels
from pipeline.reporting.illustrations import guidance
from tests.parameters import changed


def test_seeds_are_white_black_and_grey_by_the_thresholds(params):
    few = changed(params, input__size=64, spg__delta_h=0.7, spg__delta_l=0.3, spg__min_foreground=0)
    attention = np.array([[-2.0, 0.0, 2.0]], np.float32)
    shades = guidance.seeds(attention, few)
    assert shades.shape == (64, 64, 3)
    assert [shades[0, x].tolist() for x in (0, 32, 63)] == [[0] * 3, [128] * 3, [255] * 3]
    # A share x / 64 of the range is reached evenly between the centres of the outer cells.
    levels = ((np.arange(64) + 0.5) * 3 / 64 - 0.5).clip(0, 2) / 2
    assert (shades[0, :, 0] == 255).sum() == (levels > 0.7).sum()
    assert (shades[0, :, 0] == 0).sum() == (levels < 0.3).sum()


def test_rows_are_those_of_the_branches_that_there_are(params, picture, monkeypatch, tmp_path):
    rows = {}
    monkeypatch.setattr(guidance, "draw_examples", lambda path, columns, own: rows.update(own))
    record = picture("a", [[0, 0, 20, 20]], [0])
    maps = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
    branches = {name: maps[0] / 4 for name in ("b1", "b2")}
    scores = np.zeros(1, np.float32)
    answer = Prediction("a", "test", scores, np.arange(1), maps, guidance=branches)
    guidance.guidance(
        tmp_path / "a.jpg", {0: record}, {"a": answer}, ["bird"], Panels(False), params
    )
    assert list(rows) == ["image", "localization map", "Mask-A", "SPG-B2", "SPG-B1"]
    assert [panel.scale for (panel,) in rows.values()] == [None, None, None, (0, 1), (0, 1)]

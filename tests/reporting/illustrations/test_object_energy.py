import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.reporting.illustrations.object_energy import (
    against_size,
    cubic_fit,
    over_epochs,
    sizes_and_energies,
)


def test_the_fit_recovers_a_cubic():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 100, 50)
    y = 3 - 0.5 * x + 0.02 * x**2 - 1e-4 * x**3
    found = cubic_fit(x, y).convert().coef
    np.testing.assert_allclose(found, [3, -0.5, 0.02, -1e-4], rtol=1e-6)


def test_the_fit_is_that_of_least_squares():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 100, 30), rng.uniform(0, 100, 30)
    residues = y - cubic_fit(x, y)(x)
    assert [float(residues @ x**power) for power in range(4)] == pytest.approx([0] * 4, abs=0.1)


@pytest.mark.parametrize(("x", "degree"), [([5.0], 0), ([5, 5, 7], 1), ([1, 2, 3], 2)])
def test_few_sizes_have_a_fit_of_lower_degree(x, degree):
    assert cubic_fit(x, [10.0] * len(x)).degree() == degree


def with_map(record, values):
    proposal = np.array(values, np.float32)
    scores, classes = np.zeros(1, np.float32), np.zeros(0, np.int64)
    maps = np.zeros((0, 1, 1), np.float32)
    return Prediction(record.id, "test", scores, classes, maps, proposal / proposal.sum()), record


def test_sizes_and_energies_are_those_of_all_boxes(picture):
    left = picture("a", [[0, 0, 10, 20], [5, 0, 20, 20]], [0, 1])
    bare = picture("b", [], [0])
    pairs = [with_map(left, [[1, 1, 1, 1]]), with_map(bare, [[1, 1, 1, 1]])]
    sizes, energies = sizes_and_energies(pairs, align_corners=False)
    assert sizes.tolist() == pytest.approx([50, np.nan], nan_ok=True)
    assert energies["SPN"].tolist() == pytest.approx([50, np.nan], nan_ok=True)
    _, sharp = sizes_and_energies([with_map(left, [[9, 1, 0, 0]])], align_corners=False)
    assert sharp["SPN"][0] > 90


def test_there_is_a_plot_unless_no_picture_has_boxes(tmp_path):
    nothing = np.array([np.nan, np.nan])
    found = against_size(tmp_path / "none.png", nothing, {"SPN": nothing})
    assert found.path is None and "no boxes" in found.caption
    some = np.array([np.nan, 20.0, 40.0])
    found = against_size(tmp_path / "some.png", some, {"SPN": some + 5, "EdgeBoxes": some})
    assert "2 test pictures" in found.caption and "EdgeBoxes" in found.alt
    with Image.open(tmp_path / "some.png") as plot:
        assert plot.format == "PNG"


def test_a_history_without_energies_has_no_curve(tmp_path):
    assert over_epochs(tmp_path / "none.png", [], []).path is None
    path = over_epochs(tmp_path / "one.png", [1.0, 2.0], [30.0, 40.0]).path
    again = over_epochs(tmp_path / "two.png", [1.0, 2.0], [30.0, 40.0]).path
    assert path.read_bytes() == again.read_bytes()

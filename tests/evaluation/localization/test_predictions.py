import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import (
    Prediction,
    read_predictions,
    write_predictions,
)


def prediction(number, **values):
    rng = np.random.default_rng(number)
    plain = {
        "id": f"{number:03}",
        "split": "test",
        "scores": rng.normal(size=4).astype(np.float32),
        "map_classes": np.array([0, 3]),
        "maps": rng.normal(size=(2, 5, 7)).astype(np.float32),
    }
    return Prediction(**plain | values)


def spn(number):
    return prediction(number, proposal_map=np.full((5, 7), 1 / 35, np.float32))


def spg(number):
    rng = np.random.default_rng(number)
    sizes = {"b2": (5, 7), "b1": (10, 14)}
    maps = {name: rng.random(size, dtype=np.float32) for name, size in sizes.items()}
    return prediction(number, guidance=maps)


def further(number):
    rng = np.random.default_rng(number)
    sizes = ((2, 3, 4), (2, 13, 18))
    return prediction(
        number, further_maps=tuple(rng.random(size, dtype=np.float32) for size in sizes)
    )


def without_maps(number):
    return prediction(number, map_classes=np.zeros(0, int), maps=np.zeros((0, 1, 1), np.float32))


def assert_same(found, expected):
    assert (found.id, found.split) == (expected.id, expected.split)
    for name in ("scores", "map_classes", "maps"):
        np.testing.assert_array_equal(vars(found)[name], vars(expected)[name], strict=True)
    if expected.proposal_map is None:
        assert found.proposal_map is None
    else:
        np.testing.assert_array_equal(found.proposal_map, expected.proposal_map, strict=True)
    assert len(found.further_maps) == len(expected.further_maps)
    for own, other in zip(found.further_maps, expected.further_maps, strict=True):
        np.testing.assert_array_equal(own, other, strict=True)
    assert found.guidance.keys() == expected.guidance.keys()
    for name, values in expected.guidance.items():
        np.testing.assert_array_equal(found.guidance[name], values, strict=True)


@pytest.mark.parametrize("kind", [prediction, without_maps, spn, spg, further])
@pytest.mark.parametrize("count", [0, 1, 64, 65])
def test_predictions_come_back_as_they_were(tmp_path, kind, count):
    path = tmp_path / "predictions.arrow"
    write_predictions(path, map(kind, range(count)))
    found = list(read_predictions(path, "test"))
    assert len(found) == count
    for number, each in enumerate(found):
        assert_same(each, kind(number))


def test_the_same_predictions_give_the_same_bytes(tmp_path):
    one, two = tmp_path / "one.arrow", tmp_path / "two.arrow"
    for path in (one, two):
        write_predictions(path, map(spg, range(70)))
    assert one.read_bytes() == two.read_bytes()


def test_a_map_is_found_by_its_class():
    each = prediction(1)
    np.testing.assert_array_equal(each.map_of(3), each.maps[1])
    with pytest.raises(KeyError, match="001: no response map of class 2"):
        each.map_of(2)


def test_a_failed_prediction_leaves_the_older_file(tmp_path):
    path = tmp_path / "predictions.arrow"
    write_predictions(path, [prediction(1)])
    before = path.read_bytes()

    def failing():
        yield prediction(2)
        raise InputError("not finite")

    with pytest.raises(InputError, match="not finite"):
        write_predictions(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_or_damaged_predictions_name_the_stages(tmp_path):
    path = tmp_path / "predictions.arrow"
    with pytest.raises(InputError, match="predictions.arrow: not found; run .*evaluate"):
        list(read_predictions(path, "test"))
    write_predictions(path, [prediction(1)])
    for damaged in (b"", path.read_bytes()[:-10]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="predictions.arrow: not a predictions file; run .*"):
            list(read_predictions(path, "test"))


def test_missing_predictions_name_the_stage_that_makes_them(tmp_path):
    path = tmp_path / "resnet50.arrow"
    with pytest.raises(InputError, match="resnet50.arrow: not found; run `dvc repro classify`"):
        list(read_predictions(path, "test", "classify"))
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a predictions file; run `dvc repro -f classify`"):
        list(read_predictions(path, "test", "classify"))


def test_predictions_are_read_split_by_split(tmp_path):
    path = tmp_path / "predictions.arrow"
    splits = ["train"] * 70 + ["val"] * 2 + ["test"] * 5
    write_predictions(path, [prediction(n, split=split) for n, split in enumerate(splits)])
    found = {split: [p.id for p in read_predictions(path, split)] for split in set(splits)}
    assert [len(found[split]) for split in ("train", "val", "test")] == [70, 2, 5]
    assert found["val"] == ["070", "071"]


def test_maps_of_a_class_come_from_all_input_sizes_the_first_first():
    found = further(0).maps_of(3)
    assert [each.shape for each in found] == [(5, 7), (3, 4), (13, 18)]
    np.testing.assert_array_equal(found[0], further(0).map_of(3))
    np.testing.assert_array_equal(found[2], further(0).further_maps[1][1])

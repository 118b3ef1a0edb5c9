"""Facts of the embedded data set `cutouts`, on a miniature archive of coloured shapes."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import cutouts
from pipeline.errors import InputError
from pipeline.packed.record import Record, Task
from pipeline.params import CutoutsParams, Params

CLASSES = {"circle": "day", "square": "night", "wedge": "day"}
CONTEXTS = ("day", "night")


def _shape(label: str, shade: int) -> Image.Image:
    rows, columns = np.mgrid[-1:1:60j, -1:1:60j]
    inside = {
        "circle": rows**2 + columns**2 < 1,
        "square": np.full(rows.shape, True),
        "wedge": rows > np.abs(columns) * 2 - 1,
        "other": np.abs(rows) < 0.4,
    }[label]
    colour = np.full((*rows.shape, 3), shade)
    return Image.fromarray(np.dstack([colour, inside * 255]).astype(np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked archive with one cut-out per label and one background per context and split."""
    manifest: dict[str, object] = {"classes": CLASSES, "cutouts": [], "backgrounds": []}
    for number, split in enumerate(("train", "val", "test")):
        pictures = [("cutouts", label, _shape(label, 40 + number)) for label in (*CLASSES, "other")]
        pictures += [
            ("backgrounds", label, Image.new("RGB", (90, 80), (200 + number,) * 3))
            for label in CONTEXTS
        ]
        for kind, label, image in pictures:
            file = f"{kind}/{label}-{split}.png"
            (tmp_path / kind).mkdir(exist_ok=True)
            image.save(tmp_path / file)
            entries = manifest[kind]
            assert isinstance(entries, list)
            entries.append({"file": file, "label": label, "split": split})
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def small(params: Params) -> CutoutsParams:
    """Twelve scenes of 96 px per split."""
    counts = dict.fromkeys(("train_scenes", "val_scenes", "test_scenes"), 12)
    return params.cutouts.model_copy(update={"scene_size": 96, **counts})


def _train(root: Path, params: CutoutsParams, task: Task, seed: int = 0) -> list[Record]:
    return list(cutouts.read(root, params, task, seed).splits["train"])


def _plans(root: Path, params: CutoutsParams, count: int) -> list[cutouts.Plan]:
    library = cutouts.load_library(root, "train")
    rng = np.random.default_rng(0)
    return [cutouts.plan_scene(library, params, "multi", rng) for _ in range(count)]


@pytest.mark.parametrize("task", ["multi", "single"])
def test_the_same_parameters_give_the_same_bytes(
    root: Path, small: CutoutsParams, task: Task
) -> None:
    first, second = (_train(root, small, task) for _ in range(2))
    assert [(r.image, r.mask) for r in first] == [(r.image, r.mask) for r in second]


def test_another_seed_split_or_variant_gives_other_scenes(root: Path, small: CutoutsParams) -> None:
    dataset = cutouts.read(root, small, "multi", 0)
    others = [
        cutouts.read(root, small, "multi", 1).splits["train"],
        cutouts.read(root, small, "single", 0).splits["train"],
        dataset.splits["val"],
    ]
    first = next(iter(dataset.splits["train"])).image
    assert all(next(iter(other)).image != first for other in others)


def test_a_scene_does_not_depend_on_how_many_there_are(root: Path, small: CutoutsParams) -> None:
    fewer = small.model_copy(update={"train_scenes": 3})
    assert [r.image for r in _train(root, fewer, "multi")] == [
        r.image for r in _train(root, small, "multi")[:3]
    ]


def test_each_split_uses_its_own_pictures_only(root: Path) -> None:
    files = {
        split: {
            picture.file
            for pictures in (library.cutouts, library.backgrounds)
            for picture in itertools.chain(*pictures.values())
        }
        for split in ("train", "val", "test")
        for library in [cutouts.load_library(root, split)]
    }
    assert all(len(of_split) == len(CLASSES) + 1 + len(CONTEXTS) for of_split in files.values())
    assert not files["train"] & files["val"] | files["train"] & files["test"]
    assert not files["val"] & files["test"]


@pytest.mark.parametrize("task", ["multi", "single"])
def test_boxes_are_the_tight_extents_of_the_mask_inside_the_picture(
    root: Path, small: CutoutsParams, task: Task
) -> None:
    for record in _train(root, small, task):
        assert record.mask is not None
        mask = np.asarray(Image.open(io.BytesIO(record.mask)))
        assert mask.shape == (record.height, record.width) == (96, 96)
        assert mask.max() == len(record.boxes_xyxy)
        for number, (x0, y0, x1, y1) in enumerate(record.boxes_xyxy.astype(int), start=1):
            inside = mask[y0:y1, x0:x1] == number
            assert inside.sum() == (mask == number).sum()
            assert all(inside[edge].any() for edge in (0, -1))
            assert all(inside[:, edge].any() for edge in (0, -1))


def test_a_single_scene_has_one_object_and_one_label(root: Path, small: CutoutsParams) -> None:
    for record in _train(root, small, "single"):
        assert record.labels == tuple(record.box_labels)
        assert len(record.labels) == 1
        assert not record.difficult.any()


def test_a_multi_scene_has_one_to_three_objects_of_different_classes(
    root: Path, small: CutoutsParams
) -> None:
    counts = set()
    for record in _train(root, small, "multi"):
        counts.add(len(record.box_labels))
        assert len(set(record.box_labels)) == len(record.box_labels)
        assert record.labels == tuple(sorted(record.box_labels[~record.difficult]))
    assert counts <= {1, 2, 3}
    assert len(counts) > 1


def test_an_object_is_difficult_if_and_only_if_its_box_is_small(
    root: Path, small: CutoutsParams
) -> None:
    params = small.model_copy(update={"difficult_size": 0.4})
    records = _train(root, params, "multi")
    for record in records:
        areas = (record.boxes_xyxy[:, 2:] - record.boxes_xyxy[:, :2]).prod(1)
        assert (record.difficult == (areas < (0.4 * 96) ** 2)).all()
        assert record.labels
    assert any(record.difficult.any() for record in records)


def test_full_context_bias_always_picks_the_context_of_the_main_object(
    root: Path, small: CutoutsParams
) -> None:
    for plan in _plans(root, small.model_copy(update={"context_bias": 1.0}), 50):
        assert plan.background.label == CLASSES[plan.objects[0].label]


def test_without_context_bias_class_and_context_are_independent(
    root: Path, small: CutoutsParams
) -> None:
    table = {(name, context): 0 for name in CLASSES for context in CONTEXTS}
    for plan in _plans(root, small.model_copy(update={"context_bias": 0.0}), 1200):
        table[plan.objects[0].label, plan.background.label] += 1
    # Each cell expects 200 with a standard deviation of 13.
    assert all(abs(count - 200) < 60 for count in table.values())


def test_clutter_is_the_chance_of_each_distractor(root: Path, small: CutoutsParams) -> None:
    none, all_of_them = (
        _plans(root, small.model_copy(update={"clutter": clutter}), 20) for clutter in (0.0, 1.0)
    )
    assert {len(plan.distractors) for plan in none} == {0}
    assert {len(plan.distractors) for plan in all_of_them} == {cutouts.MAX_DISTRACTORS}


@pytest.mark.parametrize("content", [None, b"", b"RIFF"], ids=["missing", "empty", "corrupt"])
def test_a_bad_picture_is_an_error_that_names_it(
    root: Path, small: CutoutsParams, content: bytes | None
) -> None:
    path = root / "cutouts/circle-train.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"cutouts/circle-train\.png.*dvc repro download"):
        _train(root, small, "single")


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "corrupt"])
def test_a_bad_manifest_is_an_error_that_names_the_stage_to_run(
    root: Path, small: CutoutsParams, content: str | None
) -> None:
    (root / "manifest.json").unlink()
    if content is not None:
        (root / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest\.json.*dvc repro download"):
        cutouts.read(root, small, "single", 0)

"""Maps written by hand: what the command prints, and what it refuses."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.packing import pack
from pipeline.errors import InputError
from pipeline.evaluation.localization.boxes import iou_xyxy
from pipeline.packed.record import Dataset, Split
from pipeline.params import Params
from pipeline.score import main
from pipeline.scoring.figures import scores_of_maps
from pipeline.scoring.map_folder import MapFolder, read_maps
from pipeline.scoring.truth import read_truth
from pipeline.scoring.wsolevaluation import found_edges, squared
from tests.coloured_boxes import COLOURS, coloured_boxes
from tests.conftest import REPOSITORY

HEAD = "image,width,height,class,xmin,ymin,xmax,ymax\n"
ROWS = "a.jpg,40,30,cat,10,5,29,24\nb/c.jpg,40,30,dog,0,0,19,14\n"
BOXES = {"a": (10, 5, 30, 25), "b/c": (0, 0, 20, 15)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A list of two images with a box each."""
    path = tmp_path / "boxes.csv"
    path.write_text(HEAD + ROWS)
    return path


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Maps that are 1 in the box of their image and 0 around it."""
    for name, box in BOXES.items():
        save(tmp_path / f"maps/{name}.npy", inside(box))
    return tmp_path / "maps"


def inside(box: tuple[int, int, int, int], value: float = 1) -> np.ndarray:
    values = np.zeros((30, 40), np.float32)
    x0, y0, x1, y1 = box
    values[y0:y1, x0:x1] = value
    return values


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def read(maps: Path, data: Path) -> MapFolder:
    return read_maps(maps, read_truth(data, "from-0"))


def values(found: dict) -> dict[str, float]:
    estimates = {name: each for name, each in found.items() if isinstance(each, dict)}
    return {name: each["value"] for name, each in estimates.items() if "value" in each}


def scored(maps: MapFolder, params: Params, **given) -> dict:
    return scores_of_maps(maps, given.get("tuning"), given.get("convention", "half-open"), params)


def fails(maps: Path, data: Path, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(maps, data)


def test_maps_that_know_the_boxes_are_perfect(maps: Path, data: Path, quick: Params) -> None:
    found = scored(read(maps, data), quick)
    assert found["pointing"]["all"]["value"] == found["cor_loc"]["mean"]["value"] == 100
    assert values(found)["gt_known_error"] == 0 and values(found)["max_box_acc_v2"] == 100
    assert found["object_energy"]["model"]["value"] == pytest.approx(100)


def test_a_png_counts_like_the_array(maps: Path, data: Path, quick: Params) -> None:
    first = scored(read(maps, data), quick)
    for name, box in BOXES.items():
        (maps / f"{name}.npy").unlink()
        grey = Image.fromarray((inside(box) * 255).astype(np.uint8))
        grey.save(maps / f"{name}.jpg.png")  # with the suffix of the image
    assert scored(read(maps, data), quick) == first
    deep = Image.fromarray((inside(BOXES["a"]) * 40000).astype(np.uint16))
    deep.save(maps / "a.jpg.png")
    assert scored(read(maps, data), quick) == first


def test_each_class_may_have_a_map_of_its_own(tmp_path: Path, quick: Params) -> None:
    path = tmp_path / "two.csv"
    path.write_text(HEAD + "a,40,30,cat,10,5,29,24\na,40,30,dog,0,0,9,9\n")
    save(tmp_path / "maps/a/cat.npy", inside(BOXES["a"]))
    save(tmp_path / "maps/a/dog.npy", inside((0, 0, 10, 10)))
    found = scored(read(tmp_path / "maps", path), quick)
    assert found["pointing"]["all"]["value"] == found["cor_loc"]["mean"]["value"] == 100
    assert not {"gt_known_error", "object_energy"} & set(found)
    save(tmp_path / "maps/a/dog.npy", inside(BOXES["a"]))
    assert scored(read(tmp_path / "maps", path), quick)["cor_loc"]["mean"]["value"] == 50


def test_boxes_may_be_without_class_or_in_cocos_format(
    maps: Path, data: Path, quick: Params
) -> None:
    before = scored(read(maps, data), quick)
    data.write_text((HEAD + ROWS).replace("class,", "").replace("cat,", "").replace("dog,", ""))
    assert values(scored(read(maps, data), quick)) == values(before)
    image = {"width": 40, "height": 30}
    images = [
        image | {"id": n, "file_name": name} for n, name in enumerate(["a.jpg", "b/c.jpg", "d"])
    ]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for n, (x0, y0, x1, y1) in enumerate(BOXES.values())
    ]
    coco = data.with_suffix(".json")
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "x"}]}
    coco.write_text(json.dumps(content))
    save(maps / "d.npy", inside(BOXES["a"]))  # of an image without boxes: passed over
    assert values(scored(read(maps, coco), quick)) == values(before)


def test_maps_of_several_sizes_are_each_brought_to_their_image(
    maps: Path, data: Path, quick: Params
) -> None:
    before = scored(read(maps, data), quick)
    save(maps / "a.npy", np.kron(inside(BOXES["a"]), np.ones((2, 2), np.float32)))
    found = values(scored(read(maps, data), quick))
    assert found["gt_known_error"] == values(before)["gt_known_error"]


def test_constant_maps_are_told_and_counted(
    maps: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(maps / "a.npy", np.zeros((3, 4)))
    printed = called(monkeypatch, maps, "--data", data)
    out, err = capsys.readouterr()
    assert printed is None and "1 constant map(s), " in err and "a.npy the first" in err
    assert "| Object Energy ↑ | " in out  # zero everywhere counts as uniform


def test_energies_are_of_maps_that_are_nowhere_negative(
    maps: Path, data: Path, quick: Params
) -> None:
    save(maps / "a.npy", inside(BOXES["a"]) - 1)
    assert "object_energy" not in [k for k, v in scored(read(maps, data), quick).items() if v]


def test_thresholds_come_from_the_tuning_maps(
    maps: Path, data: Path, tmp_path: Path, quick: Params
) -> None:
    test = read(maps, data)
    for name, box in BOXES.items():
        faint = inside(box, 0.3)
        faint[-1, -1] = 1
        save(tmp_path / f"faint/{name}.npy", faint)
    faint_maps = read(tmp_path / "faint", data)
    assert values(scored(test, quick, tuning=faint_maps))["gt_known_error"] == 0
    assert values(scored(faint_maps, quick))["gt_known_error"] == 0
    assert values(scored(faint_maps, quick, tuning=test))["gt_known_error"] == 100


def test_masks_give_pxap(tmp_path: Path, quick: Params) -> None:
    def masked(numbers):
        for record in coloured_boxes("single", numbers):
            (x0, y0, x1, y1) = record.boxes_xyxy[0].astype(int)
            mask, buffer = np.zeros((40, 48), np.uint8), BytesIO()
            mask[y0:y1, x0:x1] = 1
            Image.fromarray(mask).save(buffer, "PNG")
            save(tmp_path / f"maps/{record.id}.npy", mask)
            yield replace(record, mask=buffer.getvalue())

    splits = {name: Split(masked, range(4)) for name in ("train", "val", "test")}
    pack(Dataset("masked", "single", COLOURS, splits), tmp_path / "packed", "", workers=1)
    list(masked(range(4)))
    own = read(tmp_path / "maps", tmp_path / "packed/test")
    for convention in ("half-open", "wsolevaluation"):
        assert values(scored(own, quick, convention=convention))["px_ap"] == 100


def inclusive_iou(a: np.ndarray, b: np.ndarray) -> float:
    """As clovaai/wsolevaluation computes it: 1 is added to all sides."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.maximum(0, high - low + 1).prod()
    areas = [(box[2:] - box[:2] + 1).prod() for box in (a, b)]
    return float(common / (sum(areas) - common))


def test_the_convention_of_wsolevaluation_adds_a_pixel(data: Path) -> None:
    (record, _) = read_truth(data, "from-0").records
    truth = np.array(
        [int(10 * 224 / 40), int(5 * 224 / 30), int(30 * 224 / 40), int(25 * 224 / 30)]
    )
    for found in ([50, 40, 160, 180], [0, 0, 224, 224], [200, 200, 224, 224]):
        ends = np.minimum(found, [224, 224, 223, 223])
        own = iou_xyxy(found_edges(np.array([found])), squared(record).boxes_xyxy)[0, 0]
        assert own == pytest.approx(inclusive_iou(ends, truth))


def test_the_conventions_can_tell_hit_from_miss(tmp_path: Path, quick: Params) -> None:
    # 7 of 15 columns are 0.47; with a pixel more in both, 8 of 16 are 0.5.
    (tmp_path / "boxes.csv").write_text(HEAD + "a,224,224,x,0,0,14,223\n")
    columns = np.zeros((224, 224), np.float32)
    columns[:, :7] = 1
    save(tmp_path / "maps/a.npy", columns)
    own = read(tmp_path / "maps", tmp_path / "boxes.csv")
    for convention, right in (("half-open", 0), ("wsolevaluation", 100)):
        assert values(scored(own, quick, convention=convention))["max_box_acc"] == right


def grey(path: Path, mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 3)).save(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda m: (m / "a.npy").unlink(),
            "no map of image a.jpg, neither a.npy nor a/cat.npy; add",
        ),
        (
            lambda m: save(m / "d.npy", np.ones((3, 4))),
            "d.npy: a map of no image, or of no class, of",
        ),
        (lambda m: save(m / "a/cat.npy", np.ones((3, 4))), "image a.jpg has "),
        (lambda m: save(m / "a.jpg.npy", np.ones((3, 4))), "image a.jpg has "),
        (
            lambda m: save(m / "a.npy", np.full((3, 4), np.nan)),
            "a.npy: map holds nan at row 0",
        ),
        (lambda m: save(m / "a.npy", np.full((3, 4), 1e300)), "a.npy: map holds inf at row 0"),
        (
            lambda m: save(m / "a.npy", np.ones((1, 3, 4))),
            "a.npy: shape (1, 3, 4); a map is",
        ),
        (lambda m: save(m / "a.npy", np.ones(4)), "a.npy: shape (4,); a map is (height, width)"),
        (lambda m: save(m / "a.npy", np.ones((0, 4))), "a.npy: shape (0, 4); a map is"),
        (lambda m: save(m / "a.npy", np.ones((3, 4), complex)), "a.npy: complex128 values; a map"),
        (lambda m: save(m / "a.npy", np.array([[{}]])), "a.npy: no array of numbers (ValueError"),
        (lambda m: (m / "a.npy").write_bytes(b""), "a.npy: no array of numbers (EOFError"),
        (lambda m: (m / "a.npy").rename(m / "a.png"), "a.png: unreadable PNG"),
        (
            lambda m: ((m / "a.npy").unlink(), grey(m / "a.png", "RGB")),
            "a.png: colours (RGB)",
        ),
        (lambda m: ((m / "a.npy").unlink(), grey(m / "a.png", "P")), "a.png: colours (P)"),
    ],
)
def test_bad_maps_are_told(
    maps: Path, data: Path, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(maps)
    fails(maps, data, told)


def test_maps_of_an_image_have_one_size_and_known_classes(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(HEAD + "a,40,30,cat,10,5,29,24\na,40,30,dog,0,0,9,9\n")
    save(tmp_path / "maps/a/cat.npy", np.ones((3, 4)))
    fails(tmp_path / "maps", path, "no map of image a, neither a.npy nor a/dog.npy; add it")
    save(tmp_path / "maps/a/dog.npy", np.ones((4, 4)))
    fails(tmp_path / "maps", path, "dog.npy: shape (4, 4), but ")
    save(tmp_path / "maps/a/dog.npy", np.ones((3, 4)))
    save(tmp_path / "maps/a/dgo.npy", np.ones((3, 4)))
    fails(tmp_path / "maps", path, "dgo.npy: a map of no image, or of no class, of two.csv; remove")


def test_a_map_cannot_be_of_two_images(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(HEAD + "a.jpg,40,30,cat,10,5,29,24\na.png,40,30,dog,0,0,9,9\n")
    save(tmp_path / "maps/a.npy", np.ones((3, 4)))
    fails(tmp_path / "maps", path, "a.npy: may be of image a.jpg and of a.png; add their suffixes")


def called(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    given = ("--params", REPOSITORY / "params.yaml")
    monkeypatch.setattr(sys, "argv", ["score", *map(str, (*words, *given))])
    main()


def test_the_three_forms_hold_the_same_figures(
    maps: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out(*words: object) -> str:
        called(monkeypatch, maps, "--data", data, *words)
        return capsys.readouterr().out

    printed = out()
    table = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    objects = json.loads(out("--json"))
    lines = list(csv.DictReader(io.StringIO(out("--csv"))))
    assert len(table) == len(objects) == len(lines) >= 9
    for row, own, line in zip(table, objects, lines, strict=True):
        assert {key: str(value) for key, value in own.items()} == line
        assert row.startswith(f"| {own['figure']} | {own['value']:.1f} | [{own['low']:.1f}, ")
    assert "chosen on the judged images themselves." in printed
    assert "chosen on boxes.csv." in out("--tuning", maps, data)


def test_errors_end_in_one_message(
    maps: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    multi = tmp_path / "multi.csv"
    multi.write_text(HEAD + ROWS + "a.jpg,40,30,dog,0,0,9,9\n")
    for words, told in (
        ((tmp_path / "none", "--data", data), "none: not found; name the folder of the maps"),
        ((maps, "--data", tmp_path / "none.csv"), "none.csv: not found"),
        ((maps, "--data", tmp_path), "index.json: not found"),
        ((maps, "--data", data, "--tuning", maps, multi), "--tuning: thresholds are chosen for"),
        ((maps, "--data", multi, "--tuning", maps, multi), "--tuning: thresholds are chosen for"),
    ):
        with pytest.raises(SystemExit, match=f"^score: .*{re.escape(told)}"):
            called(monkeypatch, *words)

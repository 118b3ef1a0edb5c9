"""Facts of the fixed splits of Choe et al., on twenty pictures of two classes."""

import pickle
import re
from pathlib import Path

import pytest

from pipeline.datasets import wsol
from pipeline.errors import InputError
from pipeline.packed.record import Dataset, Record
from pipeline.params import Params
from tests.datasets.layouts import BIRDS, BOX, SYNSETS, write_tiny_wsol

TEST = "001.Red_bird/test_0.jpg"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiny_wsol(tmp_path)
    return tmp_path


def records(
    root: Path, params: Params, benchmark: str = "CUB"
) -> tuple[Dataset, dict[str, list[Record]]]:
    dataset = wsol.read(root, benchmark, params.data, seed=0)
    return dataset, {name: list(split) for name, split in dataset.splits.items()}


def edit(root: Path, name: str, old: str, new: str) -> Path:
    """Change a list of CUB, such as "test/localization"."""
    path = root / f"metadata/CUB/{name}.txt"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    return path


def fails(root: Path, params: Params, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        records(root, params)


@pytest.mark.parametrize("benchmark", ["CUB", "ILSVRC"])
def test_the_lists_fix_the_splits(root: Path, params: Params, benchmark: str) -> None:
    dataset, splits = records(root, params, benchmark)
    assert dataset.task == "single"
    assert {name: len(part) for name, part in splits.items()} == {"train": 10, "val": 4, "test": 6}
    for name, part in splits.items():
        listed = (root / f"metadata/{benchmark}/{name}/image_ids.txt").read_text().split()
        assert [record.id for record in part] == listed
        assert [record.labels for record in part] == [(n % 2,) for n in range(len(part))]


def test_training_images_have_no_box_even_where_the_lists_have(root: Path, params: Params) -> None:
    (root / "metadata/CUB/train/localization.txt").write_text("001.Red_bird/train_0.jpg,1,1,9,9\n")
    assert not any(len(record.boxes_xyxy) for record in records(root, params)[1]["train"])


@pytest.mark.parametrize("benchmark", ["CUB", "ILSVRC"])
def test_the_boxes_of_every_list_are_those_of_the_pictures(
    root: Path, params: Params, benchmark: str
) -> None:
    _, splits = records(root, params, benchmark)
    for part in ("val", "test"):
        boxes = [record.boxes_xyxy.tolist() for record in splits[part]]
        assert boxes == [[list(BOX)]] * len(splits[part])


# Lines of the authors' metadata/<benchmark>/<part>/localization.txt, and the same boxes elsewhere:
# x, y, width, height 60, 27, 325, 304 in CUB-200-2011's bounding_boxes.txt; 156 to 318 of 500 px in
# the released ImageNetV2_boxes.txt, where boxes reach to 500; <xmax>441</xmax> of an official file.
@pytest.mark.parametrize(
    ("benchmark", "part", "listed", "half_open"),
    [
        ("CUB", "test", (60, 27, 385, 331), [60, 27, 385, 331]),
        ("ILSVRC", "val", (156, 163, 318, 230), [156, 163, 318, 230]),
        ("ILSVRC", "test", (111, 108, 441, 193), [111, 108, 442, 194]),
        ("CUB", "val", (499, 5, 499, 9), [499, 5, 500, 9]),
    ],
)
def test_a_listed_box_is_the_official_one(
    root: Path,
    params: Params,
    benchmark: str,
    part: str,
    listed: tuple[int, ...],
    half_open: list[int],
) -> None:
    folder = root / "metadata" / benchmark / part
    first = (folder / "image_ids.txt").read_text().split()[0]
    for name, old, new in (
        ("image_sizes", "60,40", "500,500"),
        ("localization", "10,5,", f"{','.join(map(str, listed))}\n{first},10,5,"),
    ):
        path = folder / f"{name}.txt"
        path.write_text(path.read_text().replace(f"{first},{old}", f"{first},{new}"))
    record = records(root, params, benchmark)[1][part][0]
    assert record.boxes_xyxy[0].tolist() == half_open


def test_an_image_may_have_several_boxes(root: Path, params: Params) -> None:
    edit(root, "test/localization", f"{TEST},", f"{TEST},0,0,8,8\n{TEST},")
    record = records(root, params)[1]["test"][0]
    assert record.boxes_xyxy.tolist() == [[0, 0, 8, 8], list(BOX)]
    assert record.box_labels.tolist() == [0, 0]


def test_a_box_that_leaves_the_picture_is_clipped(root: Path, params: Params) -> None:
    edit(root, "test/localization", f"{TEST},10,5,40,30", f"{TEST},-2,5,60,41")
    assert records(root, params)[1]["test"][0].boxes_xyxy.tolist() == [[0, 5, 60, 40]]


def test_a_box_outside_the_picture_is_named(root: Path, params: Params) -> None:
    edit(root, "test/localization", f"{TEST},10,5,40,30", f"{TEST},70,5,80,30")
    fails(root, params, f"{TEST}: object 1 has xmax 80 outside the 60 x 40 picture")


@pytest.mark.parametrize(("benchmark", "names"), [("CUB", BIRDS), ("ILSVRC", SYNSETS)])
def test_classes_are_named_after_their_training_folders(
    root: Path, params: Params, benchmark: str, names: dict[str, str]
) -> None:
    assert wsol.read(root, benchmark, params.data, seed=0).classes == tuple(names)


@pytest.mark.parametrize("folder", ["001.Red_bird", "shared"])
def test_classes_without_a_folder_of_their_own_are_numbers(
    root: Path, params: Params, folder: str
) -> None:
    for name in ("image_ids", "class_labels"):
        edit(root, f"train/{name}", "002.Blue_bird/train_1", f"{folder}/train_1")
    assert wsol.read(root, "CUB", params.data, seed=0).classes == ("0", "1")


def test_only_the_official_lists_are_called_the_benchmark(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "CUB-200-2011 subset (splits of Choe et al., 2 classes, 20 images)"
    assert records(root, params)[0].name == name
    assert records(root, params)[0].short_side == params.data.short_side
    assert wsol._OFFICIAL_COUNTS == {
        "CUB": (5994, 1000, 5794),
        "ILSVRC": (1281167, 10000, 50000),
        "OpenImages": (29819, 2500, 5000),
    }
    monkeypatch.setattr(wsol, "_OFFICIAL_COUNTS", {"CUB": (10, 4, 6)})
    assert records(root, params)[0].name == "CUB-200-2011 (splits of Choe et al.)"


def test_a_checkout_has_lists_and_images() -> None:
    assert wsol.folders("CUB") == (Path("metadata/CUB"), Path("dataset/CUB"))


def test_any_process_makes_any_part(root: Path, params: Params) -> None:
    split = wsol.read(root, "CUB", params.data, seed=0).splits["test"]
    make, keys = pickle.loads(pickle.dumps((split.make, split.keys[2:4])))
    assert [record.id for record in make(keys)] == [record.id for record in split][2:4]


@pytest.mark.parametrize(
    "name", ["train/image_ids", "train/class_labels", "val/image_sizes", "test/localization"]
)
def test_a_missing_list_is_named(root: Path, params: Params, name: str) -> None:
    path = root / f"metadata/CUB/{name}.txt"
    path.unlink()
    fails(root, params, f"{path}: not found")


@pytest.mark.parametrize("name", ["class_labels", "image_sizes", "localization"])
def test_an_image_without_a_line_is_named(root: Path, params: Params, name: str) -> None:
    path = root / f"metadata/CUB/test/{name}.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    fails(root, params, f"{path}: no line for {TEST!r}")


@pytest.mark.parametrize("name", ["class_labels", "image_sizes", "localization"])
def test_a_line_of_an_unlisted_image_is_named(root: Path, params: Params, name: str) -> None:
    path = edit(root, f"test/{name}", f"{TEST},", "other.jpg,")
    fails(root, params, f"{path}: 'other.jpg' is not in image_ids.txt")


@pytest.mark.parametrize("name", ["class_labels", "image_sizes"])
def test_an_image_has_one_label_and_one_size(root: Path, params: Params, name: str) -> None:
    path = root / f"metadata/CUB/test/{name}.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[0]]))
    fails(root, params, f"{path}: 2 lines for {TEST!r}")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("class_labels", TEST),
        ("class_labels", f"{TEST},bird"),
        ("class_labels", f"{TEST},0.5"),
        ("class_labels", f"{TEST},{'9' * 5000}"),
        ("image_sizes", f"{TEST},60,"),
        ("localization", f"{TEST},nan,5,40,30"),
        ("localization", "1,2"),
    ],
)
def test_a_malformed_line_is_named(root: Path, params: Params, name: str, line: str) -> None:
    path = root / f"metadata/CUB/test/{name}.txt"
    path.write_text(line)
    fails(root, params, f"{path}: {line!r} is not an image and ")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "empty"),
        (f"{TEST}\n{TEST}\n", "is listed 2 times"),
        ("../../CUB/001.Red_bird/test_0.jpg\n", "leads out of the folder"),
    ],
)
def test_a_bad_list_of_images_is_named(
    root: Path, params: Params, content: str, fault: str
) -> None:
    path = root / "metadata/CUB/test/image_ids.txt"
    path.write_text(content)
    fails(root, params, f"{path}: ")
    fails(root, params, fault)


@pytest.mark.parametrize(("old", "new"), [(",0\n", ",2\n"), (",0\n", ",-1\n")])
def test_training_labels_run_from_0(root: Path, params: Params, old: str, new: str) -> None:
    path = edit(root, "train/class_labels", old, new)
    fails(root, params, f"{path}: 2 labels between ")


def test_a_test_label_without_training_image_is_named(root: Path, params: Params) -> None:
    edit(root, "test/class_labels", f"{TEST},0", f"{TEST},7")
    fails(root, params, f"{TEST}: label 7 is none of the 2 classes")


def test_a_missing_image_is_named(root: Path, params: Params) -> None:
    path = root / "dataset/CUB" / TEST
    path.unlink()
    fails(root, params, f"{path}: not found")


def test_boxes_refer_to_the_listed_size_so_that_images_may_be_reduced(
    root: Path, params: Params
) -> None:
    edit(root, "test/image_sizes", f"{TEST},60,40", f"{TEST},600,400")
    edit(root, "test/localization", f"{TEST},10,5,40,30", f"{TEST},100,50,400,700")
    record = next(each for each in records(root, params)[1]["test"] if each.id == TEST)
    assert (record.width, record.height) == (600, 400)
    assert record.boxes_xyxy.tolist() == [[100, 50, 400, 400]]

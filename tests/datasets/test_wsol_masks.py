"""OpenImages30k in the layout of its authors, and PxAP of it with what is ignored."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import sources
from pipeline.errors import InputError
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.single_label import single_label_figures
from pipeline.packed.record import IGNORED, Record
from pipeline.params import Params
from tests.datasets.layouts import BOX, CODES, IGNORED_BOX, SIZE, write_tiny_openimages
from tests.parameters import changed

FIRST = "val/0bt_c3/0000000000000000"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiny_openimages(tmp_path)
    return tmp_path


def records(root: Path, params: Params) -> tuple[tuple[str, ...], dict[str, list[Record]]]:
    _, source = sources.find(changed(params, data__single="wsol_openimages").data, "single")
    found = source.read(root, params, "single")
    return found.classes, {name: list(split) for name, split in found.splits.items()}


def marked(box: tuple[int, ...]) -> np.ndarray:
    x0, y0, x1, y1 = box
    mask = np.zeros(SIZE[::-1], bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_masks_of_objects_are_joined_and_what_they_leave_of_the_ignored_is_ignored(
    root: Path, params: Params
) -> None:
    classes, splits = records(root, params)
    assert classes == tuple(CODES)
    assert {name: len(part) for name, part in splits.items()} == {"train": 10, "val": 4, "test": 6}
    assert all(record.mask is None for record in splits["train"])
    wanted = np.where(marked(IGNORED_BOX), IGNORED, 0)
    # The second mask has half the size: its first row, 2.5, covers the rows 4 and 5.
    wanted[marked((26, 4, 40, 30)) | marked(BOX)] = 1
    for record in splits["val"] + splits["test"]:
        assert (record.width, record.height, len(record.boxes_xyxy)) == (*SIZE, 0)
        assert record.mask is not None
        assert np.array_equal(np.asarray(Image.open(BytesIO(record.mask))), wanted)


def test_pxap_counts_no_ignored_pixel(root: Path, params: Params) -> None:
    _, splits = records(root, params)
    record = splits["test"][0]
    assert record.mask is not None
    on = np.asarray(Image.open(BytesIO(record.mask))) == 1

    def px_ap(response: np.ndarray) -> float:
        maps = response[None].astype(np.float32)
        own = Prediction(record.id, "test", np.eye(2, dtype=np.float32)[0], np.array([0]), maps)
        pairs = [(own, record)]
        found = single_label_figures(pairs, pairs, ("a", "b"), params.input)
        assert "gt_known_error" not in found.scores(params)
        return float(found.scores(params)["px_ap"]["value"])

    ignored = marked(IGNORED_BOX) & ~on
    assert px_ap(on) == px_ap(on | ignored) == 100
    other = marked((0, 0, 5, 5))
    share = on.sum() / (on.sum() + other.sum())
    assert px_ap(on | other) == px_ap(on | other | ignored) == pytest.approx(100 * share)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (f",{FIRST}_ignore.png", "", "is not an image, a mask and a mask of what is ignored"),
        (f"{FIRST}.jpg,{FIRST}_m", f"val/no.jpg,{FIRST}_m", "'val/no.jpg' is not in image_ids.txt"),
        ("_d2422806.png,\n", "_d2422806.png,other.png\n", "two masks of what is ignored for"),
        (f",{FIRST}_ignore.png", ",../ignore.png", "leads out of the folder"),
        (f"{FIRST}_m0bt_c3_d2422806.png", "gone.png", "gone.png: not found; it holds a listed"),
    ],
)
def test_bad_lists_of_masks_are_told(
    root: Path, params: Params, old: str, new: str, told: str
) -> None:
    path = root / "metadata/OpenImages/val/localization.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=re.escape(told)):
        records(root, params)


def test_an_image_without_a_mask_and_a_mask_that_is_no_picture_are_told(
    root: Path, params: Params
) -> None:
    (root / f"dataset/OpenImages/{FIRST}_ignore.png").write_bytes(b"")
    with pytest.raises(InputError, match="_ignore.png: unreadable image .the file is empty"):
        records(root, params)
    path = root / "metadata/OpenImages/val/localization.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))
    with pytest.raises(InputError, match=f"no line for '{FIRST}.jpg'"):
        records(root, params)

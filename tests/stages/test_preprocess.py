import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.datasets import parts
from pipeline.errors import InputError
from pipeline.packed.store import PackedSplit
from stages.paths import split_folder
from stages.preprocess import preprocess
from tests.conftest import REPOSITORY
from tests.parameters import changed
from tests.pictures import draw

SPLITS = ("train", "val", "test")


@pytest.fixture
def photographs(tiny_voc, tiny_cub, tmp_path, monkeypatch, params):
    """Parameters that name both tiny data sets, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOC_ROOT", str(tiny_voc))
    monkeypatch.setenv("CUB_ROOT", str(tiny_cub))
    return changed(params, data__multi="voc2007", data__single="cub")


@pytest.fixture
def pictures(tiny_voc):
    return tiny_voc / "VOCdevkit/VOC2007/JPEGImages"


def packed(track):
    files = (path for path in Path(f"data/packed/{track}").rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def scratch(track):
    """The folders of unfinished packings."""
    return sorted(Path(f"data/packed/.{track}.parts").glob("*"))


@pytest.mark.parametrize(("track", "sizes"), [("multi", [8, 2, 4]), ("single", [8, 2, 4])])
def test_each_track_becomes_three_packed_splits(photographs, track, sizes):
    preprocess(photographs, track)
    splits = [PackedSplit(split_folder(track, split)) for split in SPLITS]
    assert [len(split) for split in splits] == sizes
    assert [(split.task, split.split) for split in splits] == [(track, name) for name in SPLITS]


def test_a_second_run_gives_the_same_bytes(photographs):
    preprocess(photographs, "multi")
    first = packed("multi")
    preprocess(photographs, "multi")
    assert packed("multi") == first


def test_one_bad_picture_leaves_the_older_folder(photographs, pictures):
    preprocess(photographs, "multi")
    first = packed("multi")
    (pictures / "000008.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="000008.jpg: unreadable image"):
        preprocess(photographs, "multi")
    assert packed("multi") == first


def test_after_a_bad_picture_is_mended_only_its_part_is_read(photographs, pictures, monkeypatch):
    monkeypatch.setattr(parts, "SIZE", 2)
    preprocess(photographs, "multi")
    whole, done = packed("multi"), list(PackedSplit(split_folder("multi", "val")))
    last = pictures / "000008.jpg"
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(InputError, match="000008.jpg: unreadable image"):
        preprocess(photographs, "multi")
    last.write_bytes(content)
    for record in done:
        (pictures / f"{record.id}.jpg").unlink()
    preprocess(photographs, "multi")
    assert packed("multi") == whole
    assert scratch("multi") == []


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"data__short_side": 32}, {"cutouts__clutter": 0.5}, {}]
)
def test_parts_of_other_parameters_or_raw_data_are_not_kept(photographs, pictures, change):
    # Nothing is held out, or another seed would change the splits too.
    photographs = changed(photographs, data__val_fraction=0.0, evaluate__threshold_from="test")
    (pictures / "000008.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="000008.jpg"):
        preprocess(photographs, "multi")
    (first,) = scratch("multi")
    if not change:
        Path("data/raw").mkdir()
        Path("data/raw/voc2007.json").write_text("{}")
    with pytest.raises(InputError, match="000008.jpg"):
        preprocess(changed(photographs, **change), "multi")
    (second,) = scratch("multi")
    assert first != second


def test_parts_of_another_folder_are_not_kept(photographs, pictures, tiny_voc, monkeypatch):
    (pictures / "000008.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="000008.jpg"):
        preprocess(photographs, "multi")
    (first,) = scratch("multi")
    monkeypatch.setenv("VOC_ROOT", str(tiny_voc.rename(tiny_voc.with_name("moved"))))
    with pytest.raises(InputError, match="000008.jpg"):
        preprocess(photographs, "multi")
    assert scratch("multi") != [first]


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_val_may_be_empty(photographs, fraction):
    chosen = {"data__val_fraction": fraction, "evaluate__threshold_from": "test"}
    preprocess(changed(photographs, **chosen), "multi")
    sizes = [len(PackedSplit(split_folder("multi", split))) for split in SPLITS]
    assert sizes == ([10, 0, 4] if fraction == 0 else [8, 2, 4])


def test_train_must_not_be_empty(photographs):
    with pytest.raises(InputError, match="split 'train' is empty; check .* data"):
        preprocess(changed(photographs, data__val_fraction=0.99), "multi")
    assert not Path("data/packed/multi").exists()


def test_without_download_the_stage_to_run_is_named(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="data/raw/cutouts: not found; run `dvc repro download`"):
        preprocess(changed(params, data__multi="cutouts"), "multi")


def test_an_unknown_track_is_refused(photographs):
    with pytest.raises(InputError, match="track 'triple' is none of multi, single"):
        preprocess(photographs, "triple")


def test_torch_is_not_needed():
    code = "import sys, stages.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_own_pictures_become_packed_splits_or_leave_nothing(tmp_path, monkeypatch, params):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLDER_ROOT", "own")
    for name in ("cat", "dog"):
        for number in range(5):
            draw(tmp_path / f"own/{name}/{number}.jpg", (50, 40), [("red", [10, 5, 40, 30])])
    own = changed(params, data__single="folder")
    (tmp_path / "own/dog/0.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="dog/0.jpg: unreadable image"):
        preprocess(own, "single")
    assert not split_folder("single", "train").exists()
    (tmp_path / "own/dog/0.jpg").unlink()
    preprocess(own, "single")
    assert [len(PackedSplit(split_folder("single", split))) for split in SPLITS] == [5, 2, 2]

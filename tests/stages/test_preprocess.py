from pathlib import Path

import pytest

from pipeline.datasets.store import PackedSplit
from pipeline.errors import InputError
from stages.preprocess import preprocess


@pytest.fixture
def photographs(tiny_voc, tiny_cub, tmp_path, monkeypatch, params):
    """Parameters that name both tiny data sets, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOC_ROOT", str(tiny_voc))
    monkeypatch.setenv("CUB_ROOT", str(tiny_cub))
    return params.model_copy(
        update={"data": params.data.model_copy(update={"multi": "voc", "single": "cub"})}
    )


def packed(track):
    return {path.name: path.read_bytes() for path in Path(f"data/packed/{track}").iterdir()}


@pytest.mark.parametrize(("track", "sizes"), [("multi", [8, 2, 4]), ("single", [8, 2, 4])])
def test_each_track_becomes_three_packed_files(photographs, track, sizes):
    preprocess(photographs, track)
    files = [Path(f"data/packed/{track}/{split}.arrow") for split in ("train", "val", "test")]
    assert [len(PackedSplit(path)) for path in files] == sizes
    assert {PackedSplit(path).task for path in files} == {track}


def test_a_second_run_gives_the_same_bytes(photographs):
    preprocess(photographs, "multi")
    first = packed("multi")
    preprocess(photographs, "multi")
    assert packed("multi") == first


def test_one_bad_picture_leaves_the_older_files(photographs, tiny_voc):
    preprocess(photographs, "multi")
    first = packed("multi")
    (tiny_voc / "VOCdevkit/VOC2007/JPEGImages/000008.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="000008.jpg: unreadable image"):
        preprocess(photographs, "multi")
    assert packed("multi") == first
    assert [path.name for path in Path("data/packed").iterdir()] == ["multi"]


def test_an_empty_split_is_refused(photographs, tiny_voc):
    (tiny_voc / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").write_text("")
    with pytest.raises(InputError, match="split 'test' is empty"):
        preprocess(photographs, "multi")
    assert not Path("data/packed/multi").exists()


def test_without_download_the_stage_to_run_is_named(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = params.model_copy(update={"data": params.data.model_copy(update={"multi": "cutouts"})})
    with pytest.raises(InputError, match="data/raw/cutouts: not found; run `dvc repro download`"):
        preprocess(chosen, "multi")


def test_an_unknown_track_is_refused(photographs):
    with pytest.raises(InputError, match="track 'triple' is none of multi, single"):
        preprocess(photographs, "triple")
